/** `Backend`: one server that requests can be sent to. */
import { inspect } from 'node:util'
import type { InspectOptions } from 'node:util'
import { ProxyError, intInRange } from '../error/index.js'
import { formatAddress, parseSocketAddress } from '../transport/index.js'
import { canonicalAddress } from './address-order.js'

/** Data of the user that travels with a backend, such as its zone. */
export type BackendExt = Readonly<Record<string, unknown>>

/** What a backend is besides its address. */
export interface BackendOptions {
  /** Share of the traffic, compared with the weights of the others. 1 to 65535. Default: 1. */
  readonly weight?: number
  /** Data of the user; it is no part of the identity and is never copied. Default: none. */
  readonly ext?: BackendExt
}

/**
 * One server. Immutable. Two backends with the same address and weight are the same backend: a
 * backend whose weight changes is a new one, whose health is found out anew.
 */
export class Backend {
  /** `1.2.3.4:443`, `[::1]:80` or `unix:/path`, in canonical spelling. */
  readonly address: string
  /** Share of the traffic, compared with the weights of the others. */
  readonly weight: number
  /** Data of the user; empty when none was given. */
  readonly ext: BackendExt
  /** The identity as text: equal for backends with the same address and weight. */
  readonly key: string

  static {
    // A method with a computed name has no type that a declaration file could be written from.
    Object.defineProperty(Backend.prototype, inspect.custom, { value: inspectBackend })
  }

  /**
   * @param address an IP address with a port, or `unix:` and a path. Host names are refused, because
   * one name can be many backends: give those to `LoadBalancer.tryFromIter`.
   * @throws {@link ProxyError} `PGR_ADDRESS_INVALID`; `PGR_OPTION_INVALID` for the weight.
   */
  constructor(address: string, options: BackendOptions = {}) {
    const parsed = canonicalAddress(parseSocketAddress(address))
    if (parsed.kind === 'ip' && parsed.port === 0) {
      throw new ProxyError(
        'PGR_ADDRESS_INVALID',
        `${formatAddress(parsed)}: a backend needs a port`,
      )
    }
    this.address = formatAddress(parsed)
    this.weight = intInRange('weight', options.weight ?? 1, 1, MAX_WEIGHT)
    this.ext = options.ext ?? NO_EXT
    this.key = `${this.address} ${this.weight}`
    Object.freeze(this)
  }

  /** Such as `Backend { addr: 1.1.1.1:443, weight: 1 }`. */
  toString(): string {
    return `Backend { addr: ${this.address}, weight: ${this.weight} }`
  }
}

/** Whatever a backend can be made of: a `Backend`, or the same facts with a host name allowed. */
export interface BackendLike extends BackendOptions {
  /** As for {@link Backend}, or `name:port`, which stands for every address of the name. */
  readonly address: string
}

/** What `console.log` shows: as `toString`, with the user's data where there is some. */
function inspectBackend(this: Backend, _depth: number, options: InspectOptions): string {
  if (this.ext === NO_EXT) return this.toString()
  const ext = inspect(this.ext, options)
  return `Backend { addr: ${this.address}, weight: ${this.weight}, ext: ${ext} }`
}

const MAX_WEIGHT = 65_535
const NO_EXT: BackendExt = Object.freeze({})
