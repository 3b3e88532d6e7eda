/** An HTTP or HTTPS backend for tests of the whole balancer. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

/** Where it listens, and how it is stopped before the test ends. */
export interface Backend {
  readonly address: string
  readonly stop: () => Promise<void>
}

/** Listens on a free port of the loopback address until the test ends; with TLS if there is `tls`. */
export async function startBackend(
  t: TestContext,
  listener: RequestListener,
  tls?: { readonly cert: string; readonly key: string },
): Promise<Backend> {
  const server = tls ? createTlsServer(tls, listener) : createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async (): Promise<void> => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  t.after(stop)
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, stop }
}

/** A backend that answers with `text`. */
export function startTextBackend(t: TestContext, text: string): Promise<Backend> {
  return startBackend(t, (_request, response) => response.end(text))
}
