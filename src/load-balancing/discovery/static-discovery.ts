/** `StaticDiscovery`: a fixed list of addresses, whose host names are looked up at every update. */
import { ProxyError, toProxyError } from '../../error/index.js'
import { REAL_ENVIRONMENT, formatAddress, parseHostAddress } from '../../transport/index.js'
import type { Environment, HostAddress } from '../../transport/index.js'
import { Backend } from '../backend.js'
import type { BackendLike, BackendOptions } from '../backend.js'
import type { DiscoveryResult, ServiceDiscovery } from './service-discovery.js'

/** Where names are looked up. */
export interface StaticDiscoveryOptions {
  /** Default: the real one. */
  readonly env?: Environment
}

/** One entry of the list: a backend, or a name that stands for several. */
type Entry = Backend | { readonly name: HostAddress; readonly options: BackendOptions }

/** Serves the list it was made with. A host name becomes one backend for each of its addresses. */
export class StaticDiscovery implements ServiceDiscovery {
  readonly #entries: readonly Entry[]
  readonly #env: Environment

  /**
   * @param addresses `1.2.3.4:80`, `[::1]:80`, `unix:/path`, `name:port`; or these with a weight.
   * @throws {@link ProxyError} `PGR_ADDRESS_INVALID` with the address; `PGR_OPTION_INVALID`.
   */
  constructor(addresses: Iterable<string | BackendLike>, options: StaticDiscoveryOptions = {}) {
    this.#entries = [...addresses].map(entryOf)
    this.#env = options.env ?? REAL_ENVIRONMENT
  }

  /**
   * The list with all names looked up, at the same time.
   * @throws {@link ProxyError} (rejects) `PGR_RESOLVE_FAILED` with the name when one of them cannot be.
   */
  async discover(): Promise<DiscoveryResult> {
    const found = await Promise.all(this.#entries.map((entry) => this.#backendsOf(entry)))
    return { backends: found.flat() }
  }

  async #backendsOf(entry: Entry): Promise<Backend[]> {
    if (entry instanceof Backend) return [entry]
    const addresses = await this.#resolve(entry.name)
    return addresses.map((address) => new Backend(address, entry.options))
  }

  async #resolve(name: HostAddress): Promise<string[]> {
    const addresses = await this.#env.network.resolve(name).catch((error: unknown) => {
      throw toProxyError(error, 'PGR_RESOLVE_FAILED')
    })
    if (addresses.length > 0) return addresses.map(formatAddress)
    throw new ProxyError('PGR_RESOLVE_FAILED', `resolve ${formatAddress(name)}: it has no address`)
  }
}

function entryOf(entry: string | BackendLike): Entry {
  if (entry instanceof Backend) return entry
  const like = typeof entry === 'string' ? { address: entry } : entry
  const address = parseHostAddress(like.address)
  if (address.kind !== 'name') return new Backend(like.address, like)
  // Tried with some address, so that a bad weight or port is reported now and not at an update.
  const { weight, ext } = new Backend(`127.0.0.1:${address.port}`, like)
  return { name: address, options: { weight, ext } }
}
