/** One attempt to reach a peer: resolve, connect and handshake within their times. */
import { isIP } from 'node:net'
import { ProxyError, causedBy } from '../error/index.js'
import type { ErrorCode } from '../error/index.js'
import { parseHostAddress } from './address.js'
import type { HostAddress, SocketAddress } from './address.js'
import type { Connection } from './connection.js'
import { openTunnel } from './connect-tunnel.js'
import type { ConnectProxyOptions } from './connect-tunnel.js'
import type { DialOptions, Environment } from './environment.js'
import type { HttpPeer } from './http-peer.js'
import type { Pem, TlsClientOptions } from './tls-client-options.js'

/** What the connector knows for all attempts. */
export interface ConnectSettings {
  readonly env: Environment
  readonly ca: Pem | undefined
  readonly onKeyLog: ((line: Buffer) => void) | undefined
  readonly clientBindToIpv4: readonly string[]
  readonly clientBindToIpv6: readonly string[]
}

/** Reaches one peer once; made for each connection that is opened. */
export class ConnectAttempt {
  readonly #settings: ConnectSettings
  readonly #peer: HttpPeer
  readonly #signal: AbortSignal | undefined
  readonly #alpn: readonly string[] | undefined
  readonly #startedMs: number

  /** @param alpn protocols to offer in a TLS handshake. Default: the peer's. */
  constructor(
    settings: ConnectSettings,
    peer: HttpPeer,
    signal: AbortSignal | undefined,
    alpn: readonly string[] | undefined,
  ) {
    this.#settings = settings
    this.#peer = peer
    this.#signal = signal
    this.#alpn = alpn
    this.#startedMs = settings.env.clock.nowMs()
  }

  /** The connection, paused. Rejects with a {@link ProxyError}, or with the signal's reason. */
  async run(): Promise<Connection> {
    const peer = this.#peer
    const { clock } = this.#settings.env
    this.#signal?.throwIfAborted()
    const address = parseHostAddress((peer.proxy ?? peer).address)
    const { ca, onKeyLog } = this.#settings
    const options = peer.tls ? peer.tlsOptions(ca, this.#alpn) : null
    const tls = options && onKeyLog ? { ...options, onKeyLog } : options
    const addresses = address.kind === 'name' ? await this.#resolve(address) : [address]
    const resolvedMs = clock.nowMs()
    const plain = await this.#dialFirst(addresses)
    const connectedMs = clock.nowMs()
    if (peer.proxy !== null) await this.#openTunnel(plain, peer.proxy)
    const timings = {
      resolveMs: resolvedMs - this.#startedMs,
      connectMs: connectedMs - resolvedMs,
      tunnelMs: clock.nowMs() - connectedMs,
    }
    // Whoever answers at the end of the way gets to know whom it is for, before TLS.
    if (peer.preamble !== null) plain.write(peer.preamble)
    const connection = tls ? await this.#startTls(plain, tls) : plain
    connection.digest = { ...connection.digest, timings }
    return connection
  }

  #resolve(address: HostAddress): Promise<SocketAddress[]> {
    const { network } = this.#settings.env
    return this.#step(0, 'PGR_CONNECT_TIMEOUT', () => network.resolve(address), discardNothing)
  }

  /** Tries the addresses in turn; the last one's error counts. */
  async #dialFirst(addresses: readonly SocketAddress[]): Promise<Connection> {
    let failure: unknown = new ProxyError('PGR_RESOLVE_FAILED', `${this.#peer.address}: no address`)
    for (const address of addresses) {
      try {
        return await this.#dial(address)
      } catch (error) {
        if (this.#signal?.aborted || this.#remainingMs() <= 0) throw error
        failure = error
      }
    }
    throw failure
  }

  #dial(address: SocketAddress): Promise<Connection> {
    const local = this.#localAddress(address)
    const options = {
      ...this.#peer.dialOptions(address),
      ...(local !== '' && { localAddress: local }),
    }
    return this.#step(
      this.#peer.connectTimeoutMs,
      'PGR_CONNECT_TIMEOUT',
      (signal) => this.#dialFrom(address, { ...options, signal }),
      discardConnection,
    )
  }

  /** From any port, where none of those that were asked for is free and the peer allows it. */
  async #dialFrom(address: SocketAddress, options: DialOptions): Promise<Connection> {
    const { network } = this.#settings.env
    try {
      return await network.dial(address, options)
    } catch (error) {
      const { localPorts, ...anyPort } = options
      const mayFallBack = localPorts !== undefined && this.#peer.bindFallback
      if (!mayFallBack || !causedBy(error, 'PGR_BIND_FAILED')) throw error
      return network.dial(address, anyPort)
    }
  }

  async #openTunnel(plain: Connection, proxy: ConnectProxyOptions): Promise<void> {
    const { address, connectTimeoutMs } = this.#peer
    const open = (signal: AbortSignal): Promise<void> => openTunnel(plain, address, proxy, signal)
    try {
      await this.#step(connectTimeoutMs, 'PGR_CONNECT_TIMEOUT', open, discardNothing)
    } catch (error) {
      plain.destroy()
      throw error
    }
  }

  async #startTls(plain: Connection, options: TlsClientOptions): Promise<Connection> {
    const { network } = this.#settings.env
    const handshake = (signal: AbortSignal): Promise<Connection> =>
      network.startTls(plain, options, signal)
    const limitMs = this.#peer.connectTimeoutMs
    try {
      return await this.#step(limitMs, 'PGR_TLS_HANDSHAKE_TIMEOUT', handshake, discardConnection)
    } catch (error) {
      plain.destroy()
      throw error
    }
  }

  /** The peer's own choice, else one of the server's addresses of this family, else none. */
  #localAddress(address: SocketAddress): string {
    if (address.kind === 'unix') return ''
    const { env, clientBindToIpv4, clientBindToIpv6 } = this.#settings
    const choices = isIP(address.host) === 6 ? clientBindToIpv6 : clientBindToIpv4
    const chosen = choices[Math.floor(env.random.next() * choices.length)]
    const local = this.#peer.bindTo === '' ? (chosen ?? '') : this.#peer.bindTo
    if (local !== '' && isIP(local) === 0) {
      throw new ProxyError('PGR_BIND_FAILED', `bind ${JSON.stringify(local)}: not an IP address`)
    }
    return local
  }

  /**
   * Runs `work` for at most `limitMs` (0: no limit of its own) and the rest of the total time.
   * What arrives after that goes to `discard`, so nothing stays open even when `work` is late.
   */
  #step<T>(
    limitMs: number,
    code: ErrorCode,
    work: (signal: AbortSignal) => Promise<T>,
    discard: (late: T) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const controller = new AbortController()
      const onAbort = (): void => {
        stop(this.#signal?.reason as Error)
      }
      const remainingMs = this.#remainingMs()
      const delayMs = Math.min(limitMs > 0 ? limitMs : Infinity, remainingMs)
      const deadline = this.#settings.env.deadlines.deadline(() => {
        stop(delayMs < remainingMs ? this.#tooSlow(code, limitMs) : this.#tooSlowInAll())
      })
      let settled = false
      const settle = (): boolean => {
        if (settled) return false
        settled = true
        deadline.dispose()
        this.#signal?.removeEventListener('abort', onAbort)
        return true
      }
      const stop = (reason: Error): void => {
        if (!settle()) return
        controller.abort(reason)
        reject(reason)
      }
      const fail = (error: Error): void => {
        if (settle()) reject(error)
      }
      if (delayMs <= 0) {
        fail(this.#tooSlowInAll())
        return
      }
      if (delayMs !== Infinity) deadline.set(delayMs)
      this.#signal?.addEventListener('abort', onAbort, { once: true })
      const done = (value: T): void => {
        if (settle()) resolve(value)
        else discard(value)
      }
      try {
        work(controller.signal).then(done, fail)
      } catch (error) {
        fail(error as Error)
      }
    })
  }

  /** What is left of the total time; `Infinity` when it has no limit. */
  #remainingMs(): number {
    const { totalConnectTimeoutMs } = this.#peer
    if (totalConnectTimeoutMs <= 0) return Infinity
    return totalConnectTimeoutMs - (this.#settings.env.clock.nowMs() - this.#startedMs)
  }

  #tooSlow(code: ErrorCode, limitMs: number): ProxyError {
    const what = code === 'PGR_TLS_HANDSHAKE_TIMEOUT' ? 'TLS' : 'connect'
    return new ProxyError(code, `${what} ${this.#peer.address}: no answer in ${limitMs} ms`)
  }

  #tooSlowInAll(): ProxyError {
    const { address, totalConnectTimeoutMs } = this.#peer
    const text = `connect ${address}: not ready after ${totalConnectTimeoutMs} ms in all`
    return new ProxyError('PGR_CONNECT_TIMEOUT', text)
  }
}

function discardConnection(late: Connection): void {
  late.destroy()
}

function discardNothing(): void {
  // What comes too late holds nothing.
}
