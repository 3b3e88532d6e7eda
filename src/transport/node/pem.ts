/** PEM as `node:tls` takes it. */
import type { SecureContextOptions } from 'node:tls'
import type { Pem } from '../tls-client-options.js'

/** Several certificates that each stand for themselves, such as those of CAs. */
export function pemList(pem: Pem): NonNullable<SecureContextOptions['ca']> {
  return typeof pem === 'string' || Buffer.isBuffer(pem)
    ? pem
    : [...(pem as readonly (string | Buffer)[])]
}

/** A chain in several parts is one chain: Node takes a list for several identities. */
export function joinedPem(pem: Pem): string | Buffer {
  return Array.isArray(pem) ? pem.map(String).join('\n') : (pem as string | Buffer)
}
