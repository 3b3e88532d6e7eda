/** How TLS is spoken to clients. */
import type { Pem } from './tls-client-options.js'

/** A certificate to show, and its key. */
export interface TlsCertificate {
  /** The chain, leaf first. */
  readonly cert: Pem
  /** The key of the leaf, without passphrase. */
  readonly key: Pem
  /** An OCSP response to staple, in DER, for clients that ask for one. Default: none. */
  readonly ocspResponse?: Uint8Array
}

/**
 * Chooses or fetches the certificate of one handshake. Return the same object for the same
 * certificate: what is made of it is kept with it. `undefined`: the one of `certificates`. A throw
 * or a rejection ends the handshake, as its time-out does.
 * @param sni the name that the client asks for, in lower case.
 */
export type CertificateCallback = (
  sni: string,
) => TlsCertificate | undefined | Promise<TlsCertificate | undefined>

/** Which certificates clients may or must show. */
export interface ClientCertificates {
  /** Who issues them. */
  readonly ca: Pem
  /** Whether clients must show one. One that is shown must always be good. Default: true. */
  readonly required?: boolean
}

/** The keys that session tickets are encrypted with. */
export interface TicketKeySource {
  /** 48 bytes, those that hold now; asked for at each handshake. */
  current(): Buffer
}

/**
 * What handshakes with clients need to know. One object for many of them: certificates are parsed
 * once per object.
 */
export interface TlsServerOptions {
  /**
   * Chosen by the name that the client asks for: exact names before wildcards. The first one is for
   * all other clients. At least one, unless there is a `certificateFor`.
   */
  readonly certificates: readonly TlsCertificate[]
  /** Asked first, about each client that asks for a name. Default: nobody is. */
  readonly certificateFor?: CertificateCallback
  /** Protocols to agree on by ALPN, the preferred one first; a client that offers only others is refused. */
  readonly alpn: readonly string[]
  /** Default: TLS 1.2. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** Cipher suites of TLS 1.2 and below, as OpenSSL writes them. Default: {@link INTERMEDIATE_CIPHERS}. */
  readonly ciphers?: string
  /** Default: clients are not asked for certificates. */
  readonly clientCertificates?: ClientCertificates
  /** Default: keys of this object alone. */
  readonly ticketKeys?: TicketKeySource
  /** Gets each line of the key log, which lets its reader decrypt the connections. Default: none. */
  readonly onKeyLog?: (line: Buffer) => void
}

/** The intermediate profile of Mozilla's "Server Side TLS" 5.7; the client's order of preference counts. */
export const INTERMEDIATE_CIPHERS: string = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'DHE-RSA-AES128-GCM-SHA256',
  'DHE-RSA-AES256-GCM-SHA384',
  'DHE-RSA-CHACHA20-POLY1305',
].join(':')
