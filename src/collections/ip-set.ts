/** `IpSet`: a set of IP addresses, made of networks. */
import { ProxyError } from '../error/index.js'
import { isMapped, parseIp } from './ip-address.js'

/**
 * Addresses and networks, and perhaps the clients of unix sockets, which have no address. Networks
 * that overlap or touch become one range, so that a look-up is one binary search: O(log n). An IPv4
 * address within IPv6 (`::ffff:10.0.0.1`) is the IPv4 address, in the set and asked for; so `::/0` is
 * all of IPv6 and nothing of IPv4.
 */
export class IpSet {
  readonly #ipv4: Ranges<number>
  readonly #ipv6: Ranges<bigint>
  readonly #unix: boolean
  /** Nothing has to be read then. */
  readonly #hasNoNetwork: boolean

  /**
   * @param entries addresses, networks such as `10.0.0.0/8` or `2001:db8::/32`, and `unix:` for
   * clients of unix sockets.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` for anything else.
   */
  constructor(entries: readonly string[]) {
    const ipv4: Range<number>[] = []
    const ipv6: Range<bigint>[] = []
    for (const entry of entries) {
      if (entry === UNIX) continue
      const { bytes, prefix } = parseNetwork(entry)
      if (bytes.length === 4) ipv4.push(ipv4Range(bytes, prefix))
      else ipv6.push(ipv6Range(bytes, prefix))
    }
    this.#ipv4 = new Ranges(ipv4, (end) => end + 1)
    this.#ipv6 = new Ranges(ipv6, (end) => end + 1n)
    this.#unix = entries.includes(UNIX)
    this.#hasNoNetwork = ipv4.length + ipv6.length === 0
  }

  /** Whether `ip` is in the set; empty for the client of a unix socket. What is no address is in none. */
  includes(ip: string): boolean {
    if (ip === '') return this.#unix
    if (this.#hasNoNetwork) return false
    const bytes = plainBytes(parseIp(ip))
    if (bytes === null) return false
    return bytes.length === 4
      ? this.#ipv4.includes(ipv4Number(bytes))
      : this.#ipv6.includes(ipv6Number(bytes))
  }
}

interface Range<N> {
  readonly start: N
  /** The last one. */
  readonly end: N
}

/** Ranges of numbers, in order and apart from each other. */
class Ranges<N extends number | bigint> {
  readonly #starts: N[] = []
  readonly #ends: N[] = []

  /** @param after the number that follows another. */
  constructor(ranges: readonly Range<N>[], after: (end: N) => N) {
    const sorted = [...ranges].sort((a, b) => (a.start < b.start ? -1 : 1))
    for (const { start, end } of sorted) {
      const last = this.#ends.length - 1
      const before = this.#ends[last]
      if (before === undefined || start > after(before)) {
        this.#starts.push(start)
        this.#ends.push(end)
      } else if (end > before) this.#ends[last] = end
    }
  }

  includes(value: N): boolean {
    let [low, high] = [0, this.#starts.length]
    // The first range that starts behind `value` is at `high` in the end.
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#starts[middle]! <= value) low = middle + 1
      else high = middle
    }
    return high > 0 && value <= this.#ends[high - 1]!
  }
}

interface Network {
  readonly bytes: Uint8Array
  readonly prefix: number
}

function parseNetwork(entry: string): Network {
  const [address = '', prefixText, ...rest] = entry.split('/')
  const bytes = parseIp(address)
  const bits = bytes === null ? 0 : bytes.length * 8
  const prefix = prefixText === undefined ? bits : Number(prefixText)
  const isPrefix = prefixText === undefined || /^\d{1,3}$/.test(prefixText)
  if (bytes === null || rest.length > 0 || !isPrefix || prefix > bits) {
    const shown = JSON.stringify(entry.slice(0, MAX_SHOWN))
    throw new ProxyError(
      'PGR_OPTION_INVALID',
      `${shown}: expected an IP address, a network such as 10.0.0.0/8, or unix:`,
    )
  }
  if (isMapped(bytes) && prefix >= MAPPED_BITS)
    return { bytes: bytes.subarray(12), prefix: prefix - MAPPED_BITS }
  return { bytes, prefix }
}

function plainBytes(bytes: Uint8Array | null): Uint8Array | null {
  return bytes !== null && isMapped(bytes) ? bytes.subarray(12) : bytes
}

function ipv4Range(bytes: Uint8Array, prefix: number): Range<number> {
  const size = 2 ** (32 - prefix)
  const start = Math.floor(ipv4Number(bytes) / size) * size
  return { start, end: start + size - 1 }
}

function ipv6Range(bytes: Uint8Array, prefix: number): Range<bigint> {
  const shift = BigInt(128 - prefix)
  const start = (ipv6Number(bytes) >> shift) << shift
  return { start, end: start + (1n << shift) - 1n }
}

function ipv4Number(bytes: Uint8Array): number {
  return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0
}

function ipv6Number(bytes: Uint8Array): bigint {
  let value = 0n
  for (let at = 0; at < 16; at += 4) {
    value = (value << 32n) | BigInt(ipv4Number(bytes.subarray(at, at + 4)))
  }
  return value
}

const UNIX = 'unix:'
const MAPPED_BITS = 96
/** Text from outside is shown short. */
const MAX_SHOWN = 60
