/** `pingora demo`: two HTTPS backends and a dead one, with a balancer in front of them. */
import { BALANCER_DEFAULTS, createBalancer, defaultSettings } from '../../balancer/index.js'
import type { BalancerSettings } from '../../balancer/index.js'
import type { ProxyError } from '../../error/index.js'
import type { Session } from '../../proxy/index.js'
import { Server } from '../../server/index.js'
import { DEFAULT_LISTENER } from '../command-line.js'
import { DemoBackend } from './demo-backend.js'
import { DEMO_CA, DEMO_NAME } from './demo-certificate.js'

/**
 * Runs the demo until a signal ends it; never returns.
 * @param listener where the balancer listens. Default: `127.0.0.1:6188`.
 */
export async function startDemo(listener: string = DEFAULT_LISTENER): Promise<void> {
  const server = new Server()
  await server.bootstrap()
  const backends = [new DemoBackend('A'), new DemoBackend('B')]
  await Promise.all(backends.map((backend) => backend.listen()))
  const services = await createBalancer(server.configuration, settingsFor(listener, backends), {
    onRequest: (session, error) => {
      process.stdout.write(`${requestLine(session, error, backends)}\n`)
    },
  })
  server.addServices([...backends, ...services])
  await server.runForever({
    onReady: () => {
      process.stdout.write(welcome(listener, backends))
    },
  })
}

function settingsFor(listener: string, backends: readonly DemoBackend[]): BalancerSettings {
  const addresses = [...backends.map((backend) => backend.address), DEAD_ADDRESS]
  return defaultSettings([listener], {
    name: 'demo',
    backends: addresses.map((address) => ({ address, weight: 1 })),
    balance: 'round_robin',
    hostHeader: { name: DEMO_NAME },
    protocol: 'http1',
    tls: { sni: DEMO_NAME, verify: true, ca: Buffer.from(DEMO_CA), identity: undefined },
    healthCheck: BALANCER_DEFAULTS.healthCheck,
  })
}

function welcome(listener: string, backends: readonly DemoBackend[]): string {
  const lines = [
    '',
    `The balancer listens on http://${listener}`,
    ...backends.map((backend) => `  backend ${backend.letter}: https://${backend.address}`),
    `  dead backend: https://${DEAD_ADDRESS}, found by the health check`,
    '',
    `Try it:   curl -s ${listener}`,
    'Stop it:  Ctrl-C',
    '',
  ]
  return `${lines.join('\n')}\n`
}

function requestLine(
  session: Session,
  error: ProxyError | undefined,
  backends: readonly DemoBackend[],
): string {
  const { method, target } = session.reqHeader
  const address = session.attempts.at(-1)?.peer.address
  const letter = backends.find((backend) => backend.address === address)?.letter
  const chosen = address === undefined ? 'no backend' : `backend ${letter ?? '?'} (${address})`
  const status = session.responseHeader?.status ?? error?.status ?? '-'
  return `${method} ${printable(target)} -> ${chosen} ${status}`
}

/** A client must not be able to write escape sequences to the terminal. */
function printable(target: string): string {
  const short = target.length > 120 ? `${target.slice(0, 120)}…` : target
  return short.replace(/[^\x21-\x7e…]/g, '?')
}

/** Nothing listens here: a privileged port that no service has. */
const DEAD_ADDRESS = '127.0.0.1:343'
