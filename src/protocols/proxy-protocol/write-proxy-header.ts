/** PROXY protocol headers, versions 1 and 2: `ProxyHeader` to bytes. */
import { formatIp, parseIp } from '../../collections/index.js'
import { ProxyError } from '../../error/index.js'
import { crc32c } from './crc32c.js'
import { SIGNATURE } from './parse-proxy-header.js'
import { MAX_PROXY_HEADER_BYTES, TLV } from './proxy-header.js'
import type { ProxyAddress, ProxyHeader, Tlv } from './proxy-header.js'
import { writeTlvs } from './tlvs.js'

/** What a header is made from; its field about TLS is one of `tlvs`. */
export type ProxyHeaderParts = Omit<ProxyHeader, 'tls'>

/** How a header is written. */
export interface WriteProxyHeaderOptions {
  /** Ends with a checksum (CRC-32C); version 2 only. Default: false. */
  readonly checksum?: boolean
}

/**
 * The bytes of a header. Addresses of two families, and with version 1 all that is no IP address,
 * are written as unknown; version 1 has no fields, and no datagrams.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` for an address that is none, or when it gets longer
 * than {@link MAX_PROXY_HEADER_BYTES}.
 */
export function writeProxyHeader(
  header: ProxyHeaderParts,
  { checksum = false }: WriteProxyHeaderOptions = {},
): Buffer {
  return header.version === 1 ? writeV1(header) : writeV2(header, checksum)
}

function writeV1({ command, source, destination }: ProxyHeaderParts): Buffer {
  const ends = command === 'proxy' ? endsOf(source, destination) : null
  if (ends?.kind !== 'ip') return Buffer.from('PROXY UNKNOWN\r\n', 'latin1')
  const [from, to] = ends.addresses
  const family = from.bytes.length === 4 ? 'TCP4' : 'TCP6'
  const ips = `${formatIp(from.bytes)} ${formatIp(to.bytes)}`
  return Buffer.from(`PROXY ${family} ${ips} ${from.port} ${to.port}\r\n`, 'latin1')
}

function writeV2(header: ProxyHeaderParts, checksum: boolean): Buffer {
  const { command, source, destination, transport } = header
  const ends = command === 'proxy' ? endsOf(source, destination) : null
  const tlvs: readonly Tlv[] = checksum
    ? [...header.tlvs, { type: TLV.CRC32C, value: Buffer.alloc(4) }]
    : header.tlvs
  const head = Buffer.alloc(4)
  const block = Buffer.concat([addressBlock(ends), writeTlvs(tlvs)])
  const length = SIGNATURE.length + head.length + block.length
  if (length > MAX_PROXY_HEADER_BYTES) {
    const text = `PROXY header: ${length} bytes, at most ${MAX_PROXY_HEADER_BYTES}`
    throw new ProxyError('PGR_OPTION_INVALID', text)
  }
  head[0] = command === 'proxy' ? 0x21 : 0x20
  head[1] = ends === null ? 0 : familyOf(ends) | (transport === 'datagram' ? 2 : 1)
  head.writeUInt16BE(block.length, 2)
  const bytes = Buffer.concat([SIGNATURE, head, block])
  if (checksum) bytes.writeUInt32BE(crc32c(bytes), bytes.length - 4)
  return bytes
}

interface IpEnd {
  readonly bytes: Uint8Array
  readonly port: number
}

type Ends =
  | { readonly kind: 'ip'; readonly addresses: readonly [IpEnd, IpEnd] }
  | { readonly kind: 'unix'; readonly paths: readonly [string, string] }

/** Both ends, where they are of one family; `null` where they are not, or not known. */
function endsOf(source: ProxyAddress | null, destination: ProxyAddress | null): Ends | null {
  if (source === null || destination === null) return null
  if (source.kind === 'unix' && destination.kind === 'unix')
    return { kind: 'unix', paths: [source.path, destination.path] }
  if (source.kind !== 'ip' || destination.kind !== 'ip') return null
  const addresses = [ipEnd(source), ipEnd(destination)] as const
  return addresses[0].bytes.length === addresses[1].bytes.length ? { kind: 'ip', addresses } : null
}

function ipEnd({ host, port }: ProxyAddress & { readonly kind: 'ip' }): IpEnd {
  const bytes = parseIp(host)
  if (bytes !== null) return { bytes, port }
  throw new ProxyError('PGR_OPTION_INVALID', `PROXY header: ${JSON.stringify(host)} is no address`)
}

function addressBlock(ends: Ends | null): Buffer {
  if (ends === null) return Buffer.alloc(0)
  if (ends.kind === 'unix') return Buffer.concat(ends.paths.map(pathBytes))
  const [from, to] = ends.addresses
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(from.port, 0)
  ports.writeUInt16BE(to.port, 2)
  return Buffer.concat([from.bytes, to.bytes, ports])
}

function pathBytes(path: string): Buffer {
  const bytes = Buffer.alloc(PATH_BYTES)
  const text = Buffer.from(path)
  if (text.length >= PATH_BYTES)
    throw new ProxyError('PGR_OPTION_INVALID', 'PROXY header: a path has more than 107 bytes')
  text.copy(bytes)
  return bytes
}

function familyOf(ends: Ends): number {
  if (ends.kind === 'unix') return 0x30
  return ends.addresses[0].bytes.length === 4 ? 0x10 : 0x20
}

const PATH_BYTES = 108
