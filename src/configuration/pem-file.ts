/** Certificates and keys in PEM files, checked when the configuration is read. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { ProxyError, describeThrown } from '../error/index.js'
import { readFailure } from './config-document.js'

/**
 * Reads a file of one or more certificates.
 * @returns its PEM text.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` when it cannot be read or holds none.
 */
export function readCertificates(path: string): string {
  const text = readPem(path)
  const blocks = text.match(CERTIFICATE_BLOCK) ?? []
  if (blocks.length === 0) throw invalid(`${path}: holds no certificate; expected PEM`)
  for (const [index, block] of blocks.entries()) {
    parse(`${path}: certificate ${index + 1} is damaged`, () => new X509Certificate(block))
  }
  return text
}

/**
 * Reads the private key of a certificate.
 * @returns its PEM text.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` when it cannot be read, is damaged or
 * encrypted, or belongs to another certificate than the first of `certificates`.
 */
export function readPrivateKey(path: string, certificates: string): string {
  const text = readPem(path)
  const key = parse(`${path}: not a private key in PEM without passphrase`, () =>
    createPrivateKey(text),
  )
  const leaf = new X509Certificate(certificates)
  if (!leaf.checkPrivateKey(key)) throw invalid(`${path}: does not belong to the certificate`)
  return text
}

/**
 * Reads a file that is no text, such as an OCSP response.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` when it cannot be read, is empty or larger
 * than 4 MiB.
 */
export function readBinary(path: string): Buffer {
  const bytes = readWhole(path)
  if (bytes.length === 0) throw invalid(`${path}: is empty`)
  return bytes
}

/** Why a certificate cannot be used at `nowMs`, by its dates; empty when it can. */
export function validityProblem(certificates: string | Buffer, nowMs: number): string {
  const {
    subject,
    subjectAltName = subject,
    validFrom,
    validTo,
  } = new X509Certificate(certificates)
  if (nowMs > Date.parse(validTo))
    return `${subjectAltName} has expired: it was valid to ${validTo}`
  return nowMs < Date.parse(validFrom) ? `${subjectAltName} is not valid before ${validFrom}` : ''
}

function readPem(path: string): string {
  return readWhole(path).toString('latin1')
}

function readWhole(path: string): Buffer {
  try {
    if (statSync(path).size > MAX_PEM_BYTES)
      throw invalid(`${path}: larger than 4 MiB; too large for what it should be`)
    return readFileSync(path)
  } catch (thrown) {
    if (thrown instanceof ProxyError) throw thrown
    throw new ProxyError('PGR_CONFIGURATION_INVALID', `${path} ${readFailure(thrown)}`, {
      cause: thrown,
    })
  }
}

function parse<T>(complaint: string, read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw new ProxyError('PGR_CONFIGURATION_INVALID', `${complaint}: ${describeThrown(thrown)}`, {
      cause: thrown,
    })
  }
}

function invalid(message: string): ProxyError {
  return new ProxyError('PGR_CONFIGURATION_INVALID', message)
}

/** The bundle of a whole system is around 250 kB. */
const MAX_PEM_BYTES = 4 * 1024 * 1024
const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
