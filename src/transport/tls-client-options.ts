/** How TLS is spoken to an upstream. */

/** Certificates or keys in PEM form: text, bytes, or several of them. */
export type Pem = string | Buffer | readonly (string | Buffer)[]

/** What a TLS handshake with an upstream needs to know. */
export interface TlsClientOptions {
  /** The name to ask for (SNI) and to verify; empty asks for none. */
  readonly sni: string
  /** The name or IP address that the certificate must be valid for; empty: no name is checked. */
  readonly verifyName: string
  /** Whether the chain must lead to a trusted certificate. */
  readonly verifyChain: boolean
  /** Trusted certificates. Default: those that Node brings along. */
  readonly ca?: Pem
  /** Our certificate chain, leaf first, for peers that ask for one. */
  readonly cert?: Pem
  /** The key of `cert`. */
  readonly key?: Pem
  /** Protocols to offer, such as `['http/1.1']`; empty offers none. */
  readonly alpn: readonly string[]
  /** Gets each line of the key log, which lets its reader decrypt the connection. Default: none. */
  readonly onKeyLog?: (line: Buffer) => void
  /** Sessions to resume are kept under this key; empty keeps none. */
  readonly sessionKey: string
}
