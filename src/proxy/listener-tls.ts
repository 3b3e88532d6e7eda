/** `ListenerTls`: how a listener speaks TLS, and the files that say so. */
import { appendFileSync } from 'node:fs'
import {
  readBinary,
  readCertificates,
  readPrivateKey,
  validityProblem,
} from '../configuration/index.js'
import { ProxyError } from '../error/index.js'
import { checkCiphers } from '../transport/index.js'
import type {
  CertificateCallback,
  ClientCertificates,
  TicketKeySource,
  TlsCertificate,
  TlsServerOptions,
} from '../transport/index.js'

/** A certificate in files. Files that are replaced are used within a second. */
export interface CertificateFiles {
  /** Path of the chain in PEM, leaf first. */
  readonly certFile: string
  /** Path of its key in PEM, without passphrase. */
  readonly keyFile: string
  /** Path of an OCSP response to staple, in DER. Default: none. */
  readonly ocspFile?: string
}

/** Which certificates clients may or must show, with the CA in a file. */
export interface ClientCertificateFiles {
  /** Path of the certificates of those who issue them, in PEM. */
  readonly caFile: string
  /** Whether clients must show one. One that is shown must always be good. Default: true. */
  readonly required?: boolean
}

/** How TLS is spoken on a listener. The defaults are Mozilla's intermediate profile. */
export interface ListenerTls {
  /**
   * Chosen by the name that the client asks for: exact names before wildcards. The first one is for
   * all other clients. May be left out when there is a `certificateFor`.
   */
  readonly certificates?: readonly (CertificateFiles | TlsCertificate)[]
  /** Chooses or fetches the certificate of one handshake. Default: `certificates` says it all. */
  readonly certificateFor?: CertificateCallback
  /** Default: clients are not asked for certificates. */
  readonly clientCertificates?: ClientCertificateFiles | ClientCertificates
  /** Default: TLS 1.2. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** Cipher suites, as OpenSSL writes them. Default: those of the profile. */
  readonly ciphers?: string
  /** Time for a handshake, in ms, from 1. Default: 10000. */
  readonly handshakeTimeoutMs?: number
  /** Handshakes in progress at once, in each thread; further clients are closed. Default: 1024. */
  readonly maxHandshakes?: number
  /**
   * Path of 48 random bytes, the key of session tickets: who has the same file, such as this program
   * after a restart or another machine, resumes the same sessions. Default: keys of the process,
   * which change every 12 hours.
   */
  readonly ticketKeyFile?: string
  /**
   * Path of a file to which the secrets of all connections are added, in the format of
   * `SSLKEYLOGFILE`: who can read it can decrypt them. Default: none.
   */
  readonly keyLogFile?: string
}

/** What a listener's own settings do not say. */
export interface TlsSurroundings {
  /** Protocols to agree on, the preferred one first. */
  readonly alpn: readonly string[]
  /** The keys of session tickets where there is no file of them. */
  readonly ticketKeys?: TicketKeySource | undefined
}

/**
 * Reads the files of `tls`.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` for a file that cannot be used, such as a
 * key of another certificate; `PGR_OPTION_INVALID` when there is no certificate at all.
 */
export function readListenerTls(tls: ListenerTls, surroundings: TlsSurroundings): TlsServerOptions {
  const { certificates = [], certificateFor, clientCertificates, ticketKeyFile, keyLogFile } = tls
  const { minVersion, ciphers } = tls
  if (certificates.length === 0 && certificateFor === undefined)
    throw new ProxyError('PGR_OPTION_INVALID', 'TLS: expected at least one certificate')
  if (ciphers !== undefined) checkCiphers(ciphers)
  const ticketKeys =
    ticketKeyFile === undefined ? surroundings.ticketKeys : readTicketKey(ticketKeyFile)
  return {
    certificates: certificates.map(readCertificate),
    alpn: surroundings.alpn,
    ...(certificateFor && { certificateFor }),
    ...(clientCertificates && { clientCertificates: readClientCa(clientCertificates) }),
    ...(minVersion && { minVersion }),
    ...(ciphers !== undefined && { ciphers }),
    ...(ticketKeys && { ticketKeys }),
    ...(keyLogFile !== undefined && { onKeyLog: keyLogTo(keyLogFile) }),
  }
}

/** The files that `readListenerTls` reads. */
export function filesOf({ certificates = [], ...tls }: ListenerTls): string[] {
  const { clientCertificates, ticketKeyFile } = tls
  const files = certificates.flatMap((each) =>
    'certFile' in each ? [each.certFile, each.keyFile, each.ocspFile] : [],
  )
  if (clientCertificates && 'caFile' in clientCertificates) files.push(clientCertificates.caFile)
  return [...files, ticketKeyFile].filter((file) => file !== undefined)
}

/** The certificates that are not valid at `nowMs`, one line each. */
export function validityProblems({ certificates }: TlsServerOptions, nowMs: number): string[] {
  return certificates.flatMap(({ cert }) => {
    const chain = typeof cert === 'string' || Buffer.isBuffer(cert) ? cert : cert.map(String).join()
    return validityProblem(chain, nowMs) || []
  })
}

function readCertificate(source: CertificateFiles | TlsCertificate): TlsCertificate {
  if (!('certFile' in source)) return source
  const { certFile, keyFile, ocspFile } = source
  const cert = readCertificates(certFile)
  const key = readPrivateKey(keyFile, cert)
  return { cert, key, ...(ocspFile !== undefined && { ocspResponse: readBinary(ocspFile) }) }
}

function readClientCa(source: ClientCertificateFiles | ClientCertificates): ClientCertificates {
  if (!('caFile' in source)) return source
  const { caFile, ...rest } = source
  return { ...rest, ca: readCertificates(caFile) }
}

/**
 * The key of session tickets in a file.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` unless it has exactly 48 bytes.
 */
export function readTicketKey(path: string): TicketKeySource {
  const key = readBinary(path)
  if (key.length === TICKET_KEY_BYTES) return { current: () => key }
  const text = `${path}: has ${key.length} bytes; expected 48, such as openssl rand 48 makes`
  throw new ProxyError('PGR_CONFIGURATION_INVALID', text)
}

/** Adds lines to a file that only its owner can read. */
export function keyLogTo(path: string): (line: Buffer) => void {
  return (line) => {
    try {
      appendFileSync(path, line, { mode: 0o600 })
    } catch {
      // A full disk must not end connections.
    }
  }
}

const TICKET_KEY_BYTES = 48
