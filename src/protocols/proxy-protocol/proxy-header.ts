/** What a PROXY protocol header says: who connected to its sender, and what else is known of them. */

/** An IP address with a port, or the path of a unix socket, which is empty where it has no name. */
export type ProxyAddress =
  | { readonly kind: 'ip'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** One field of a header of version 2, with a type of {@link TLV} or any other from 0 to 255. */
export interface Tlv {
  /** What it is. */
  readonly type: number
  /** Its bytes. */
  readonly value: Uint8Array
}

/** What the sender knows of the TLS session between the client and itself. */
export interface ProxyTls {
  /** Whether the client spoke TLS. */
  readonly connected: boolean
  /** Whether it gave a certificate, on this connection or in the session that it resumed. */
  readonly clientCert: boolean
  /** Whether it gave one that was verified. */
  readonly verified: boolean
  /** The fields within: version, cipher, name of the client, with types of {@link TLV}. */
  readonly tlvs: readonly Tlv[]
}

/** A header, whichever version brought it. */
export interface ProxyHeader {
  /** The version in which it came. */
  readonly version: 1 | 2
  /** `local`: the sender speaks for itself, such as to check whether we are well. */
  readonly command: 'proxy' | 'local'
  /** What the client spoke to the sender. */
  readonly transport: 'stream' | 'datagram' | 'unspecified'
  /** Who connected to the sender; `null`: not known, or the sender itself. */
  readonly source: ProxyAddress | null
  /** To which address; `null` whenever `source` is. */
  readonly destination: ProxyAddress | null
  /** All fields, in order, with those that mean nothing to us. */
  readonly tlvs: readonly Tlv[]
  /** The field about TLS, read; `null` without one. */
  readonly tls: ProxyTls | null
}

/** The fields that have a name. */
export type TlvName =
  | 'ALPN'
  | 'AUTHORITY'
  | 'CRC32C'
  | 'NOOP'
  | 'UNIQUE_ID'
  | 'SSL'
  | 'SSL_VERSION'
  | 'SSL_CN'
  | 'SSL_CIPHER'
  | 'SSL_SIG_ALG'
  | 'SSL_KEY_ALG'
  | 'SSL_GROUP'
  | 'SSL_SIG_SCHEME'
  | 'SSL_CLIENT_CERT'
  | 'NETNS'

/** The types of fields that have a name (section 2.2 of the PROXY protocol). */
export const TLV: Readonly<Record<TlvName, number>> = Object.freeze({
  ALPN: 0x01,
  AUTHORITY: 0x02,
  CRC32C: 0x03,
  NOOP: 0x04,
  UNIQUE_ID: 0x05,
  SSL: 0x20,
  SSL_VERSION: 0x21,
  SSL_CN: 0x22,
  SSL_CIPHER: 0x23,
  SSL_SIG_ALG: 0x24,
  SSL_KEY_ALG: 0x25,
  SSL_GROUP: 0x26,
  SSL_SIG_SCHEME: 0x27,
  SSL_CLIENT_CERT: 0x28,
  NETNS: 0x30,
})

/** The bytes of the first field of a type; `undefined` without one. */
export function findTlv(tlvs: readonly Tlv[], type: number): Uint8Array | undefined {
  return tlvs.find((tlv) => tlv.type === type)?.value
}

/** The first field of a type as text; `undefined` without one. */
export function tlvText(tlvs: readonly Tlv[], type: number): string | undefined {
  const value = findTlv(tlvs, type)
  return value && Buffer.from(value).toString('utf8')
}

/**
 * Longer headers are refused, and never written. The longest of version 1 has 107 bytes; what version
 * 2 may carry, such as a certificate of the client, has no limit of its own below 64 KiB.
 */
export const MAX_PROXY_HEADER_BYTES = 4_096
