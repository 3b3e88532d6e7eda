/** The names that certificates are for, and which certificate is for a name. */
import { X509Certificate } from 'node:crypto'
import { ProxyError, describeThrown } from '../error/index.js'
import type { Pem } from './tls-client-options.js'

/**
 * The leaf of a chain.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` when it is no certificate.
 */
export function leafOf(chain: Pem): X509Certificate {
  const first = typeof chain === 'string' || Buffer.isBuffer(chain) ? chain : chain[0]
  try {
    return new X509Certificate((first as string | Buffer | undefined) ?? '')
  } catch (cause) {
    const text = `not a certificate in PEM: ${describeThrown(cause)}`
    throw new ProxyError('PGR_OPTION_INVALID', text, { cause })
  }
}

/** The host names and IP addresses that a certificate is for; those of its subject do not count. */
export function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return subjectAltName.split(', ').flatMap((entry) => {
    const name = /^(?:DNS|IP Address):(\S+)$/.exec(entry)?.[1]
    return name === undefined ? [] : [name.toLowerCase()]
  })
}

/** Finds by a host name what is for it: an exact name first, then a wildcard for its first label. */
export class NameTable<T> {
  readonly #byName = new Map<string, T>()

  /** @param names of the first one that has a name, that one counts. */
  add(names: readonly string[], value: T): void {
    for (const name of names) if (!this.#byName.has(name)) this.#byName.set(name, value)
  }

  /** @param host in lower case. */
  find(host: string): T | undefined {
    const exact = this.#byName.get(host)
    if (exact !== undefined) return exact
    const dot = host.indexOf('.')
    return dot > 0 ? this.#byName.get(`*${host.slice(dot)}`) : undefined
  }
}

/** A name as a client asks for it, in the one spelling that is compared. */
export function canonicalName(sni: string): string {
  return sni.toLowerCase().replace(/\.$/, '')
}
