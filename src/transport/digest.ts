/** Facts about a connection that hooks, logs and checks may read. */

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
}

/** Addresses, times and TLS facts of one connection. */
export interface ConnectionDigest {
  /** The peer's address, such as `10.0.0.1:80`, `[::1]:80` or `unix:/run/a.sock`. */
  readonly peerAddress: string
  /** Our address, in the same form. */
  readonly localAddress: string
  /** The peer's IP address alone; empty for a unix socket. */
  readonly peerIp: string
  /** When the connection stood, in the clock's ms. */
  readonly establishedMs: number
  /** TLS facts; `null` for a connection in the clear. */
  readonly tls: TlsDigest | null
}
