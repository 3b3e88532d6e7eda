/** Tells the upstream who the client is: `X-Forwarded-*`, `Forwarded` and `Via`. */
import { isIPv6 } from 'node:net'
import { IpSet } from '../collections/index.js'
import type { HeaderMap } from '../http/index.js'
import type { ForwardingSettings } from './balancer-settings.js'

/** What is known about a request. */
export interface ForwardingFacts {
  /** The client's IP address; empty for the client of a unix socket. */
  readonly clientIp: string
  /** `http` or `https`, as the client spoke it. */
  readonly scheme: string
  /** The client's `Host`; `undefined` when it sent none. */
  readonly host: string | undefined
  /** The client's HTTP version, such as `1.1`. */
  readonly version: string
}

/** Writes the forwarding fields of upstream requests. */
export class Forwarding {
  readonly #settings: ForwardingSettings
  readonly #trusted: IpSet

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` for a trusted proxy that is no address. */
  constructor(settings: ForwardingSettings) {
    this.#settings = settings
    this.#trusted = new IpSet(settings.trustedProxies)
  }

  /**
   * Changes `headers` in place. What a client claims is kept only when it is a trusted proxy: any
   * client could otherwise pass for another address, with fields that are switched off too.
   */
  apply(headers: HeaderMap, facts: ForwardingFacts): void {
    const client = { ...facts, clientIp: unmapped(facts.clientIp) }
    const trusted = this.#trusted.includes(client.clientIp)
    if (!trusted) {
      for (const name of CLAIMS) headers.remove(name)
    }
    if (this.#settings.xForwarded) addXForwarded(headers, client)
    if (this.#settings.forwarded) appendToList(headers, 'Forwarded', forwardedElement(client))
    if (this.#settings.via) appendToList(headers, 'Via', `${facts.version} ${PSEUDONYM}`)
  }
}

function addXForwarded(headers: HeaderMap, { clientIp, host, scheme }: ForwardingFacts): void {
  if (clientIp !== '') appendToList(headers, 'X-Forwarded-For', clientIp)
  // A trusted proxy in front knows better what the client asked it for.
  if (host !== undefined && !headers.has('X-Forwarded-Host')) headers.set('X-Forwarded-Host', host)
  if (!headers.has('X-Forwarded-Proto')) headers.set('X-Forwarded-Proto', scheme)
}

/** RFC 7239 §4; an IPv6 address stands in brackets and quotes, §6. */
function forwardedElement({ clientIp, host, scheme }: ForwardingFacts): string {
  const node = isIPv6(clientIp) ? `"[${clientIp}]"` : clientIp || 'unknown'
  const hostPart = host === undefined ? '' : `;host=${quotedUnlessToken(host)}`
  return `for=${node};proto=${scheme}${hostPart}`
}

function quotedUnlessToken(text: string): string {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** One line with all values, so that no upstream takes only the first or only the last line. */
function appendToList(headers: HeaderMap, name: string, value: string): void {
  const before = headers.getAll(name)
  headers.set(name, before.length === 0 ? value : `${before.join(', ')}, ${value}`)
}

/** An IPv4 client of an IPv6 socket is written as IPv4, so that upstreams see one form. */
function unmapped(ip: string): string {
  return ip.startsWith('::ffff:') && ip.includes('.') ? ip.slice('::ffff:'.length) : ip
}

/** Fields by which applications learn the client's address, whichever of them they believe. */
const CLAIMS = [
  'Forwarded',
  'X-Forwarded-For',
  'X-Forwarded-Host',
  'X-Forwarded-Port',
  'X-Forwarded-Proto',
  'X-Real-IP',
] as const
const PSEUDONYM = 'pingora-ts'
