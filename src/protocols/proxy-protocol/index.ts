/** The PROXY protocol, versions 1 and 2 (haproxy.org, "The PROXY protocol"); pure, byte-fed, both directions. */
export { parseProxyHeader } from './parse-proxy-header.js'
export type { ParsedProxyHeader } from './parse-proxy-header.js'
export { MAX_PROXY_HEADER_BYTES, TLV, findTlv, tlvText } from './proxy-header.js'
export type { ProxyAddress, ProxyHeader, ProxyTls, Tlv, TlvName } from './proxy-header.js'
export { ProxyHeaderReader } from './proxy-header-reader.js'
export { tlsTlv } from './tlvs.js'
export { writeProxyHeader } from './write-proxy-header.js'
export type { ProxyHeaderParts, WriteProxyHeaderOptions } from './write-proxy-header.js'
