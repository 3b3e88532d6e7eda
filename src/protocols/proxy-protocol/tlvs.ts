/** Type-length-value fields of PROXY protocol headers, version 2. */
import { ProxyError } from '../../error/index.js'
import { crc32c } from './crc32c.js'
import { TLV, findTlv } from './proxy-header.js'
import type { ProxyTls, Tlv } from './proxy-header.js'

/** The fields in `bytes`, which they fill. Their values are parts of it. @throws {@link ProxyError} `PGR_PROXY_HEADER_INVALID`. */
export function parseTlvs(bytes: Buffer): Tlv[] {
  const tlvs: Tlv[] = []
  for (let at = 0; at < bytes.length;) {
    const valueAt = at + TLV_HEAD_BYTES
    const end = valueAt <= bytes.length ? valueAt + bytes.readUInt16BE(at + 1) : Infinity
    if (end > bytes.length) throw invalid('a field is longer than the header')
    tlvs.push({ type: bytes[at]!, value: bytes.subarray(valueAt, end) })
    at = end
  }
  return tlvs
}

/** The fields as bytes. */
export function writeTlvs(tlvs: readonly Tlv[]): Buffer {
  return Buffer.concat(
    tlvs.flatMap(({ type, value }) => [
      Buffer.of(type, value.length >> 8, value.length & 0xff),
      value,
    ]),
  )
}

/** The field about TLS; `null` without one. @throws {@link ProxyError} `PGR_PROXY_HEADER_INVALID`. */
export function readTls(tlvs: readonly Tlv[]): ProxyTls | null {
  const value = findTlv(tlvs, TLV.SSL)
  if (value === undefined) return null
  const bytes = Buffer.from(value)
  if (bytes.length < SSL_HEAD_BYTES) throw invalid('the field about TLS is too short')
  const client = bytes[0]!
  const clientCert = (client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) !== 0
  return {
    connected: (client & CLIENT_SSL) !== 0,
    clientCert,
    // 0 says that it was verified, or that there was none.
    verified: clientCert && bytes.readUInt32BE(1) === 0,
    tlvs: parseTlvs(bytes.subarray(SSL_HEAD_BYTES)),
  }
}

/** The field that says what is known of a TLS session. */
export function tlsTlv({ connected, clientCert, verified, tlvs }: ProxyTls): Tlv {
  const head = Buffer.alloc(SSL_HEAD_BYTES)
  head[0] = (connected ? CLIENT_SSL : 0) | (clientCert ? CLIENT_CERT_CONN : 0)
  head.writeUInt32BE(clientCert && !verified ? 1 : 0, 1)
  return { type: TLV.SSL, value: Buffer.concat([head, writeTlvs(tlvs)]) }
}

/** Compares the checksum of `header` with the one in it, if there is one. @throws {@link ProxyError} `PGR_PROXY_HEADER_INVALID`. */
export function checkChecksum(header: Buffer, tlvs: readonly Tlv[]): void {
  const found = findTlv(tlvs, TLV.CRC32C)
  if (found === undefined) return
  if (found.length !== CRC_BYTES) throw invalid('the checksum has not four bytes')
  // It is made with its own bytes as zeros; they are a part of the header's memory.
  const copy = Buffer.from(header)
  const at = found.byteOffset - header.byteOffset
  copy.fill(0, at, at + CRC_BYTES)
  if (crc32c(copy) !== header.readUInt32BE(at)) throw invalid('the checksum is wrong')
}

/** The error of a header that is none. */
export function invalid(reason: string): ProxyError {
  return new ProxyError('PGR_PROXY_HEADER_INVALID', `PROXY header: ${reason}`)
}

const TLV_HEAD_BYTES = 3
const SSL_HEAD_BYTES = 5
const CRC_BYTES = 4
/** Flags of the field about TLS. */
const CLIENT_SSL = 0x01
const CLIENT_CERT_CONN = 0x02
const CLIENT_CERT_SESS = 0x04
