/** A network without sockets, whose answers a test writes down. */
import { ProxyError } from '../../src/error/index.js'
import { DeadlineWheel, ManualClock } from '../../src/time/index.js'
import { formatAddress } from '../../src/transport/index.js'
import type {
  Connection,
  ConnectionHandler,
  DialOptions,
  Environment,
  HostAddress,
  Listener,
  Network,
  SocketAddress,
  TlsClientOptions,
} from '../../src/transport/index.js'

/** What an address does with a connection or a handshake. */
export type Answer = 'accept' | 'refuse' | 'hang'

/** Answers every dial and handshake as told; everything accepts until told otherwise. */
export class ScriptedNetwork implements Network {
  /** By address: what happens to a connection. */
  readonly dialAnswers = new Map<string, Answer>()
  /** By address: what happens to a handshake. */
  readonly tlsAnswers = new Map<string, Answer>()
  /** By name: its addresses; a name that is not here cannot be resolved. */
  readonly names = new Map<string, readonly string[]>()
  /** Addresses dialled, in order. */
  readonly dialled: string[] = []
  /** Options of the dials and handshakes, in order. */
  readonly dialOptions: DialOptions[] = []
  readonly tlsOptions: TlsClientOptions[] = []
  /** Names looked up, in order. */
  readonly resolved: string[] = []
  /** Connections that were not destroyed. */
  readonly open = new Set<Connection>()
  /** Dials that hang now. */
  hanging = 0

  async dial(address: SocketAddress, options: DialOptions): Promise<Connection> {
    const text = formatAddress(address)
    this.dialled.push(text)
    this.dialOptions.push(options)
    await this.#answer(this.dialAnswers.get(text), 'PGR_CONNECT_REFUSED', options.signal)
    return this.#connection(text)
  }

  async startTls(
    connection: Connection,
    options: TlsClientOptions,
    signal?: AbortSignal,
  ): Promise<Connection> {
    const text = connection.digest.peerAddress
    this.tlsOptions.push(options)
    try {
      await this.#answer(this.tlsAnswers.get(text), 'PGR_TLS_HANDSHAKE_FAILED', signal)
      return this.#connection(text)
    } finally {
      connection.destroy()
    }
  }

  listen(): Promise<Listener> {
    return Promise.reject(new ProxyError('PGR_LISTEN_FAILED', 'nothing listens here'))
  }

  async resolve(address: HostAddress): Promise<SocketAddress[]> {
    if (address.kind !== 'name') return [address]
    this.resolved.push(address.host)
    const hosts = this.names.get(address.host)
    if (!hosts) throw new ProxyError('PGR_RESOLVE_FAILED', `resolve ${address.host}: no such name`)
    return hosts.map((host) => ({ kind: 'ip', host, port: address.port }))
  }

  async #answer(
    answer: Answer | undefined,
    code: 'PGR_CONNECT_REFUSED' | 'PGR_TLS_HANDSHAKE_FAILED',
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (answer === 'refuse') throw new ProxyError(code)
    if (answer !== 'hang') return
    this.hanging++
    try {
      await new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          reject(signal.reason as Error)
        })
      })
    } finally {
      this.hanging--
    }
  }

  #connection(peerAddress: string): Connection {
    const { open } = this
    const connection: Connection = {
      handler: DEAF,
      digest: { peerAddress, localAddress: '', peerIp: '', establishedMs: 0, tls: null },
      pendingBytes: 0,
      bytesRead: 0,
      bytesWritten: 0,
      get destroyed() {
        return !open.has(connection)
      },
      write: () => true,
      cork: ignore,
      uncork: () => true,
      retain: ignore,
      pause: ignore,
      resume: ignore,
      end: ignore,
      destroy: () => void open.delete(connection),
      reset: () => void open.delete(connection),
    }
    open.add(connection)
    return connection
  }
}

/** A network, a clock and a chance that do only what the test says. */
export interface ScriptedEnvironment extends Environment {
  readonly clock: ManualClock
  readonly network: ScriptedNetwork
}

/** A fresh one; its chance is a fixed sequence, the same at every run. */
export function scriptedEnvironment(seed: number = 1): ScriptedEnvironment {
  const clock = new ManualClock()
  let state = seed
  const next = (): number => {
    // A linear congruence with the constants of Numerical Recipes: enough to spread picks.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const deadlines = new DeadlineWheel(clock)
  return { clock, deadlines, network: new ScriptedNetwork(), random: { next } }
}

const DEAF: ConnectionHandler = {
  onData: ignore,
  onEnd: ignore,
  onDrain: ignore,
  onClose: ignore,
}

function ignore(): void {
  // Nothing happens on these connections.
}
