/** IP addresses as bytes and as text. */

/**
 * The 4 or 16 bytes of an IP address in its usual text form; `null` for anything else: names, zones
 * such as `%eth0`, octets with leading zeros, which some read as octal.
 */
export function parseIp(text: string): Uint8Array | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text)
}

/** The text of the 4 or 16 bytes of an IP address; of IPv6 the one text that RFC 5952 gives it. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (isMapped(bytes)) return `::ffff:${bytes.subarray(12).join('.')}`
  const groups = Array.from({ length: 8 }, (_, index) => groupAt(bytes, index).toString(16))
  const [start, length] = longestZeros(groups)
  if (length < 2) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

/** Whether the 16 bytes are an IPv4 address in an IPv6 one (RFC 4291 §2.5.5.2). */
export function isMapped(bytes: Uint8Array): boolean {
  return bytes.length === 16 && MAPPED.every((byte, index) => bytes[index] === byte)
}

function parseIpv4(text: string): Uint8Array | null {
  const match = IPV4.exec(text)
  if (match === null) return null
  const octets = match.slice(1).map(Number)
  return octets.every((octet) => octet <= 255) ? Uint8Array.from(octets) : null
}

function parseIpv6(text: string): Uint8Array | null {
  if (text.length > MAX_IPV6_TEXT) return null
  const [head = '', tail, ...rest] = text.split('::')
  if (rest.length > 0) return null
  const first = groupsOf(head, tail === undefined)
  const last = groupsOf(tail ?? '', true)
  if (first === null || last === null) return null
  const zeros = 8 - first.length - last.length
  // `::` stands for at least one group of zeros.
  if (tail === undefined ? zeros !== 0 : zeros < 1) return null
  const groups = [...first, ...new Array<number>(zeros).fill(0), ...last]
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}

/** Groups of up to four hexadecimal digits; the last two may be written as an IPv4 address. */
function groupsOf(text: string, mayEndInIpv4: boolean): number[] | null {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (/^[\da-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16))
    else {
      const ipv4 = mayEndInIpv4 && index === parts.length - 1 ? parseIpv4(part) : null
      if (ipv4 === null) return null
      groups.push((ipv4[0]! << 8) | ipv4[1]!, (ipv4[2]! << 8) | ipv4[3]!)
    }
  }
  return groups
}

/** Where the longest run of groups of zeros begins, the first of several, and its length. */
function longestZeros(groups: readonly string[]): readonly [start: number, length: number] {
  let best: readonly [number, number] = [0, 0]
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === '0') length++
    if (length > best[1]) best = [start, length]
  }
  return best
}

function groupAt(bytes: Uint8Array, index: number): number {
  return (bytes[index * 2]! << 8) | bytes[index * 2 + 1]!
}

const OCTET = '(0|[1-9]\\d{0,2})'
const IPV4 = new RegExp(`^${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}$`)
/** Eight groups with an IPv4 address at the end. */
const MAX_IPV6_TEXT = 45
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
