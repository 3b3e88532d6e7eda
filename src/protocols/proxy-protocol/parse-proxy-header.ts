/** PROXY protocol headers, versions 1 and 2: bytes to `ProxyHeader`. */
import { formatIp, parseIp } from '../../collections/index.js'
import { MAX_PROXY_HEADER_BYTES, TLV, findTlv } from './proxy-header.js'
import type { ProxyAddress, ProxyHeader } from './proxy-header.js'
import { checkChecksum, invalid, parseTlvs, readTls } from './tlvs.js'

/** A header with its place. */
export interface ParsedProxyHeader {
  /** What it says. */
  readonly header: ProxyHeader
  /** Bytes that it takes. */
  readonly length: number
}

/**
 * Reads the header that `bytes` begin with; `null` while more bytes are needed to tell. What can be
 * no header is refused with the first byte that shows it. Copies what it keeps.
 * @throws {@link ProxyError} `PGR_PROXY_HEADER_INVALID`.
 */
export function parseProxyHeader(bytes: Buffer): ParsedProxyHeader | null {
  if (startsLike(bytes, SIGNATURE)) return parseV2(bytes)
  if (startsLike(bytes, V1_START)) return parseV1(bytes)
  throw invalid('there is none')
}

/** Whether `bytes` begin with `start`, as far as they go. */
function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.compare(start, 0, length, 0, length) === 0
}

// Version 1: one line of text

function parseV1(bytes: Buffer): ParsedProxyHeader | null {
  const lineFeed = bytes.subarray(0, MAX_V1_BYTES).indexOf(LF)
  if (lineFeed < 0) {
    if (bytes.length >= MAX_V1_BYTES) throw invalid('the line is too long')
    return null
  }
  if (bytes[lineFeed - 1] !== CR) throw invalid('the line does not end with CR LF')
  const line = bytes.toString('latin1', 0, lineFeed - 1)
  return { header: v1Header(line), length: lineFeed + 1 }
}

function v1Header(line: string): ProxyHeader {
  // Whatever follows is to be ignored (section 2.1).
  if (/^PROXY UNKNOWN( |$)/.test(line)) return unknownHeader(1, 'proxy')
  const match = V1_LINE.exec(line)
  if (match === null) throw invalid('the line is malformed')
  const [, family, sourceIp = '', destinationIp = '', sourcePort, destinationPort] = match
  const ipBytes = family === 'TCP4' ? 4 : 16
  const address = (ip: string, port: string | undefined): ProxyAddress => {
    const host = parseIp(ip)
    const fits = host?.length === ipBytes && Number(port) <= MAX_PORT
    if (!fits) throw invalid('an address is malformed')
    return ipAddress(host, Number(port))
  }
  return {
    ...unknownHeader(1, 'proxy'),
    transport: 'stream',
    source: address(sourceIp, sourcePort),
    destination: address(destinationIp, destinationPort),
  }
}

// Version 2: a head of 16 bytes, addresses, fields

function parseV2(bytes: Buffer): ParsedProxyHeader | null {
  if (bytes.length < V2_HEAD_BYTES) return null
  const [versionAndCommand, family] = [bytes[12]!, bytes[13]!]
  const length = V2_HEAD_BYTES + bytes.readUInt16BE(14)
  const command = COMMANDS.get(versionAndCommand)
  const kind = FAMILIES.get(family)
  if (command === undefined) throw invalid('the version or the command is unknown')
  if (length > MAX_PROXY_HEADER_BYTES) throw invalid(`longer than ${MAX_PROXY_HEADER_BYTES} bytes`)
  // Even the family of a sender that speaks for itself means nothing (section 2.2).
  if (kind === undefined && command === 'proxy') throw invalid('the address family is unknown')
  if (bytes.length < length) return null
  if (kind === undefined || command === 'local')
    return { header: unknownHeader(2, 'local'), length }
  return { header: v2Header(Buffer.from(bytes.subarray(0, length)), kind), length }
}

function v2Header(bytes: Buffer, { addressBytes, transport }: Family): ProxyHeader {
  const fieldsAt = V2_HEAD_BYTES + addressBytes
  if (bytes.length < fieldsAt) throw invalid('the addresses are cut off')
  const tlvs = parseTlvs(bytes.subarray(fieldsAt))
  checkChecksum(bytes, tlvs)
  const uniqueId = findTlv(tlvs, TLV.UNIQUE_ID)
  if (uniqueId && uniqueId.length > MAX_UNIQUE_ID_BYTES) throw invalid('the unique id is too long')
  const [source, destination] = v2Addresses(bytes.subarray(V2_HEAD_BYTES, fieldsAt))
  return { version: 2, command: 'proxy', transport, source, destination, tlvs, tls: readTls(tlvs) }
}

type Ends = readonly [source: ProxyAddress | null, destination: ProxyAddress | null]

function v2Addresses(bytes: Buffer): Ends {
  if (bytes.length === 0) return [null, null]
  if (bytes.length === UNIX_BYTES) {
    const half = UNIX_BYTES / 2
    return [unixAddress(bytes.subarray(0, half)), unixAddress(bytes.subarray(half))]
  }
  const ipBytes = bytes.length === IPV4_BYTES ? 4 : 16
  const portsAt = ipBytes * 2
  return [
    ipAddress(bytes.subarray(0, ipBytes), bytes.readUInt16BE(portsAt)),
    ipAddress(bytes.subarray(ipBytes, portsAt), bytes.readUInt16BE(portsAt + 2)),
  ]
}

function ipAddress(bytes: Uint8Array, port: number): ProxyAddress {
  return { kind: 'ip', host: formatIp(bytes), port }
}

/** A path ends with the first NUL, but for that which an abstract name begins with. */
function unixAddress(bytes: Buffer): ProxyAddress {
  const end = bytes.indexOf(0, 1)
  const path = bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
  return { kind: 'unix', path: path === '\0' ? '' : path }
}

function unknownHeader(version: 1 | 2, command: ProxyHeader['command']): ProxyHeader {
  return {
    version,
    command,
    transport: 'unspecified',
    source: null,
    destination: null,
    tlvs: [],
    tls: null,
  }
}

interface Family {
  readonly addressBytes: number
  readonly transport: ProxyHeader['transport']
}

/** What version 2 begins with; no protocol of text does. */
export const SIGNATURE: Buffer = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const V1_START = Buffer.from('PROXY ', 'latin1')
const V1_LINE = /^PROXY (TCP[46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/
const MAX_V1_BYTES = 107
const MAX_PORT = 65_535
const CR = 0x0d
const LF = 0x0a
const V2_HEAD_BYTES = 16
const IPV4_BYTES = 12
const IPV6_BYTES = 36
const UNIX_BYTES = 216
const MAX_UNIQUE_ID_BYTES = 128
const COMMANDS: ReadonlyMap<number, ProxyHeader['command']> = new Map([
  [0x20, 'local'],
  [0x21, 'proxy'],
])
const FAMILIES: ReadonlyMap<number, Family> = new Map<number, Family>([
  [0x00, { addressBytes: 0, transport: 'unspecified' }],
  [0x11, { addressBytes: IPV4_BYTES, transport: 'stream' }],
  [0x12, { addressBytes: IPV4_BYTES, transport: 'datagram' }],
  [0x21, { addressBytes: IPV6_BYTES, transport: 'stream' }],
  [0x22, { addressBytes: IPV6_BYTES, transport: 'datagram' }],
  [0x31, { addressBytes: UNIX_BYTES, transport: 'stream' }],
  [0x32, { addressBytes: UNIX_BYTES, transport: 'datagram' }],
])
