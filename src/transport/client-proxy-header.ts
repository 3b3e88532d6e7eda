/** The PROXY header that tells an upstream who the client is. */
import { TLV, findTlv, tlsTlv, writeProxyHeader } from '../protocols/index.js'
import type { ProxyAddress, Tlv, TlvName } from '../protocols/index.js'
import { parseSocketAddress } from './address.js'
import type { ConnectionDigest, TlsDigest } from './digest.js'

/**
 * The bytes that go before all others on a connection that is for one client.
 * @param client its connection; `null`: the connection is our own, such as for a health check.
 */
export function clientProxyHeader(version: 1 | 2, client: ConnectionDigest | null): Buffer {
  return writeProxyHeader({
    version,
    command: client === null ? 'local' : 'proxy',
    transport: client === null ? 'unspecified' : 'stream',
    source: client && endOf(client.peerAddress),
    destination: client && endOf(client.localAddress),
    tlvs: client === null || version === 1 ? [] : fieldsOf(client),
  })
}

function endOf(address: string): ProxyAddress {
  if (!address.startsWith(UNIX)) return parseSocketAddress(address)
  // An abstract name begins with NUL, for which tools write `@`.
  return { kind: 'unix', path: address.slice(UNIX.length).replace(/^@/, '\0') }
}

/** What we know ourselves; of what the client's own proxy has told us, what else it knows. */
function fieldsOf({ tls, proxyProtocol }: ConnectionDigest): Tlv[] {
  const own = tls === null ? [] : tlsFields(tls)
  const told = proxyProtocol?.header.tlvs ?? []
  const passed = PASSED.flatMap((name): Tlv[] => {
    const type = TLV[name]
    const value = findTlv(told, type)
    return value === undefined || own.some((field) => field.type === type) ? [] : [{ type, value }]
  })
  return [...own, ...passed]
}

function tlsFields({ version, cipher, sni, alpn, ...peer }: TlsDigest): Tlv[] {
  const { peerCertificate, peerVerified: verified } = peer
  const within = [text('SSL_VERSION', version), text('SSL_CIPHER', cipher)]
  const [, name] = /^CN=(.+)$/m.exec(peerCertificate?.subject ?? '') ?? []
  if (verified && name !== undefined) within.push(text('SSL_CN', name))
  return [
    ...(alpn === '' ? [] : [text('ALPN', alpn)]),
    ...(sni === '' ? [] : [text('AUTHORITY', sni)]),
    tlsTlv({ connected: true, clientCert: peerCertificate !== null, verified, tlvs: within }),
  ]
}

function text(name: TlvName, value: string): Tlv {
  return { type: TLV[name], value: Buffer.from(value) }
}

const UNIX = 'unix:'
const PASSED: readonly TlvName[] = ['ALPN', 'AUTHORITY', 'SSL', 'UNIQUE_ID']
