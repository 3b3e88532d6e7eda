/** Certificates for tests: a CA, and leaves for any names and IP addresses. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

/** A certificate and its key, as PEM. */
export interface TestCertificate {
  readonly cert: string
  readonly key: string
}

/** What a leaf is for. */
export interface LeafOptions {
  /** Host names and IP addresses, into the subject alternative name. */
  readonly names: readonly string[]
  /** Whether it has expired. Default: false. */
  readonly expired?: boolean
}

/** A certificate authority that lives in memory. */
export interface TestCa {
  /** The CA's certificate, to be trusted. */
  readonly cert: string
  /** Issues a certificate and a fresh key. */
  issue(options: LeafOptions): Promise<TestCertificate>
}

/** Makes a CA with a fresh key. Some ms. */
export async function testCa(name: string = 'pingora-ts test CA'): Promise<TestCa> {
  const keys = await keyPair()
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(false),
    serialNumber: serialNumber(),
    name: `CN=${name}`,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return {
    cert: ca.toString('pem'),
    issue: (options) => issue(ca, keys.privateKey, options),
  }
}

async function issue(
  ca: x509.X509Certificate,
  caKey: CryptoKey,
  { names, expired = false }: LeafOptions,
): Promise<TestCertificate> {
  const keys = await keyPair()
  const leaf = await x509.X509CertificateGenerator.create({
    ...validity(expired),
    serialNumber: serialNumber(),
    subject: 'CN=leaf',
    issuer: ca.subject,
    publicKey: keys.publicKey,
    signingKey: caKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(ca),
    ],
  })
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { cert: leaf.toString('pem'), key: x509.PemConverter.encode(key, 'PRIVATE KEY') }
}

function keyPair(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

function validity(expired: boolean): { notBefore: Date; notAfter: Date } {
  const nowMs = Date.now()
  // Long ago: tests may live in the past.
  const notAfter = new Date(nowMs + (expired ? -1 : 30) * DAY_MS)
  return { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter }
}

function serialNumber(): string {
  return Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString('hex')
}

type CryptoKey = webcrypto.CryptoKey
type CryptoKeyPair = webcrypto.CryptoKeyPair

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 24 * 3_600_000
