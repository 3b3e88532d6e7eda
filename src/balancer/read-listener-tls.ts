/** Reads `tls` of a listener: resolves the paths, and checks what is in the files. */
import { readBinary, readCertificates, readPrivateKey } from '../configuration/index.js'
import type { ConfigDocument, ConfigProblem } from '../configuration/index.js'
import { readTicketKey } from '../proxy/index.js'
import type { CertificateFiles, ListenerTls } from '../proxy/index.js'
import type { CertificateSection, ListenerSection, ListenerTlsSection } from './balancer-schema.js'
import { readNamedFile } from './read-named-file.js'

/** The settings of `listeners[index].tls`; what is wrong with its files is added to `problems`. */
export function readListenerTls(
  document: ConfigDocument,
  index: number,
  section: NonNullable<ListenerSection['tls']>,
  problems: ConfigProblem[],
): ListenerTls {
  return new ListenerTlsReader(document, ['listeners', index, 'tls'], problems).read(section)
}

class ListenerTlsReader {
  readonly #document: ConfigDocument
  readonly #place: readonly PropertyKey[]
  readonly #problems: ConfigProblem[]

  constructor(document: ConfigDocument, place: readonly PropertyKey[], problems: ConfigProblem[]) {
    this.#document = document
    this.#place = place
    this.#problems = problems
  }

  read(section: ListenerTlsSection | readonly CertificateSection[]): ListenerTls {
    if (isList(section)) return { certificates: this.#list(section, []) }
    const { client_ca, client_cert, ticket_key, key_log, min_version } = section
    const { ciphers, handshake_timeout, max_handshakes } = section
    if (client_cert !== undefined && client_ca === undefined)
      this.#problem(['client_cert'], 'needs client_ca, whose certificates are trusted')
    const caFile = this.#file(['client_ca'], client_ca, readCertificates)
    const ticketKeyFile = this.#file(['ticket_key'], ticket_key, readTicketKey)
    return {
      certificates: this.#certificates(section),
      ...(caFile !== undefined && {
        clientCertificates: { caFile, required: client_cert !== 'optional' },
      }),
      ...(min_version && { minVersion: `TLSv${min_version}` }),
      ...(ciphers !== undefined && { ciphers }),
      ...(handshake_timeout !== undefined && { handshakeTimeoutMs: handshake_timeout }),
      ...(max_handshakes !== undefined && { maxHandshakes: max_handshakes }),
      ...(ticketKeyFile !== undefined && { ticketKeyFile }),
      ...(key_log !== undefined && { keyLogFile: this.#document.resolvePath(key_log) }),
    }
  }

  /** The one beside the other keys is the first. */
  #certificates({ cert, key, ocsp, certificates = [] }: ListenerTlsSection): CertificateFiles[] {
    const list = this.#list(certificates, ['certificates'])
    if (cert !== undefined && key !== undefined)
      return [this.#certificate({ cert, key, ocsp }, []), ...list]
    if (cert !== undefined || key !== undefined || ocsp !== undefined)
      this.#problem([], 'cert and key belong together; expected both')
    else if (list.length === 0)
      this.#problem([], 'no certificate; expected cert and key, or certificates')
    return list
  }

  #list(sections: readonly CertificateSection[], place: PropertyKey[]): CertificateFiles[] {
    return sections.map((section, index) => this.#certificate(section, [...place, index]))
  }

  #certificate(section: CertificateSection, place: PropertyKey[]): CertificateFiles {
    const { cert, key, ocsp } = section
    const pem = this.#read([...place, 'cert'], cert, readCertificates)
    if (pem !== undefined) this.#read([...place, 'key'], key, (path) => readPrivateKey(path, pem))
    const ocspFile = this.#file([...place, 'ocsp'], ocsp, readBinary)
    return {
      certFile: this.#document.resolvePath(cert),
      keyFile: this.#document.resolvePath(key),
      ...(ocspFile !== undefined && { ocspFile }),
    }
  }

  /** The absolute path of a file that `reader` could read. */
  #file(
    place: PropertyKey[],
    path: string | undefined,
    reader: (path: string) => unknown,
  ): string | undefined {
    const checked = (absolute: string): string => {
      reader(absolute)
      return absolute
    }
    return this.#read(place, path, checked)
  }

  #read<T>(
    place: PropertyKey[],
    path: string | undefined,
    reader: (path: string) => T,
  ): T | undefined {
    return readNamedFile(this.#document, [...this.#place, ...place], path, reader, this.#problems)
  }

  #problem(place: PropertyKey[], text: string): void {
    this.#problems.push(this.#document.problem([...this.#place, ...place], text))
  }
}

function isList(
  section: ListenerTlsSection | readonly CertificateSection[],
): section is readonly CertificateSection[] {
  return Array.isArray(section)
}
