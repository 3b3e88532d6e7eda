/** What both ends of a modelled handshake say to each other. */
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { ConnectionDigest } from '../digest.js'
import type { TlsClientOptions } from '../tls-client-options.js'

/** What a listener answers to a client that it can serve. */
export interface Greeting {
  /** The protocol agreed on; empty when none was. */
  readonly alpn: string
  /** What its certificate is for. */
  readonly names: readonly string[]
  /** Whether clients that verify the chain trust it. */
  readonly isTrusted: boolean
  /** The certificate itself, where there is one. */
  readonly certificate: X509Certificate | null
  /** Sessions are resumed with the same one only. */
  readonly identity: object
}

/** A greeting, or why there is none. */
export type Answer = Greeting | string

/** Told once how a handshake ended at one end: with a failure, or with what the secured connection is. */
export type HandshakeEnd = (failure: Error | null, digest: ConnectionDigest) => void

/** The name that a client asks for; an IP address is not a name to ask for (RFC 6066 §3). */
export function sniOf({ sni }: TlsClientOptions): string {
  return isIP(sni) === 0 ? sni : ''
}

/** The protocol that both speak; empty when one of them takes part in no ALPN, `undefined` for none. */
export function agreedProtocol(
  served: readonly string[],
  offered: readonly string[],
): string | undefined {
  if (served.length === 0 || offered.length === 0) return ''
  return served.find((protocol) => offered.includes(protocol))
}
