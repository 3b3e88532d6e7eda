/** One HTTPS server of the demo: it answers every request with its own name. */
import { createServer } from 'node:https'
import type { Server as HttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Service } from '../../server/index.js'
import { DEMO_CERTIFICATE, DEMO_KEY } from './demo-certificate.js'

/** Listens on a free port of the loopback address; a service, so that it ends with the server. */
export class DemoBackend implements Service {
  readonly name: string
  /** And so ended last: requests in flight still need it. */
  readonly startsFirst: boolean = true
  /** What tells it from the others. */
  readonly letter: string
  readonly #server: HttpsServer

  constructor(letter: string) {
    this.name = `demo backend ${letter}`
    this.letter = letter
    this.#server = createServer({ cert: DEMO_CERTIFICATE, key: DEMO_KEY }, (request, response) => {
      request.on('error', ignoreError).resume()
      response.on('error', ignoreError)
      response.setHeader('Content-Type', 'text/plain')
      response.end(`Hello from backend ${letter}\n`)
    })
    this.#server.on('tlsClientError', ignoreError).on('clientError', ignoreError)
  }

  /** `127.0.0.1` with the port; only once it listens. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Resolves when it listens, which is before the server starts: the balancer must know the port. */
  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', () => {
        this.#server.off('error', reject).on('error', ignoreError)
        resolve()
      })
    })
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.destroy()
    return Promise.resolve()
  }

  destroy(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

function ignoreError(): void {
  // The other side of every connection is the balancer, which reports its own failures.
}
