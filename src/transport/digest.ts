/** Facts about a connection that hooks, logs and checks may read. */
import type { X509Certificate } from 'node:crypto'

import type { ProxyHeader } from '../protocols/index.js'

/** What is known of a TLS session. */
export interface TlsDigest {
  /** Such as `TLSv1.3`. */
  readonly version: string
  /** Such as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string
  /** The name that was asked for; empty when none was. */
  readonly sni: string
  /** The protocol agreed on by ALPN; empty when none was. */
  readonly alpn: string
  /** Whether the session was resumed. */
  readonly resumed: boolean
  /** How long the handshake took, in ms. */
  readonly handshakeMs: number
  /** What the peer has shown; `null` when it showed none. */
  readonly peerCertificate: X509Certificate | null
  /**
   * Whether `peerCertificate` is from who we trust, and, of a server, for the name that was to be
   * verified: only then it says who the peer is.
   */
  readonly peerVerified: boolean
}

/** What a PROXY header before the connection said, and who sent it. */
export interface ProxyProtocolDigest {
  /** The address of the sender, which the connection itself comes from. */
  readonly peerAddress: string
  /** The address that the sender connected to. */
  readonly localAddress: string
  /** The header, with all its fields. */
  readonly header: ProxyHeader
}

/** How long the steps to a connection before TLS took, in ms; 0 for what was not done. */
export interface ConnectTimings {
  /** Looking the name up. */
  readonly resolveMs: number
  /** Until the connection stood, addresses that did not answer included. */
  readonly connectMs: number
  /** Opening a tunnel through an HTTP proxy. */
  readonly tunnelMs: number
}

/** Addresses, times and TLS facts of one connection. */
export interface ConnectionDigest {
  /** The peer's address, such as `10.0.0.1:80`, `[::1]:80` or `unix:/run/a.sock`. */
  readonly peerAddress: string
  /** Our address, in the same form. */
  readonly localAddress: string
  /** The peer's IP address alone; empty for a unix socket. */
  readonly peerIp: string
  /** When the connection stood, behind its TLS handshake if it has one, in the clock's ms. */
  readonly establishedMs: number
  /** TLS facts; `null` for a connection in the clear. */
  readonly tls: TlsDigest | null
  /** What a PROXY header said, from which both addresses above are then; absent without one. */
  readonly proxyProtocol?: ProxyProtocolDigest
  /** How long it took to open it; absent for what was accepted. */
  readonly timings?: ConnectTimings
}
