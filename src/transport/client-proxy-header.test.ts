import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, test } from 'node:test'
import { testCa } from '../../test/helpers/certificates.js'
import { TLV, parseProxyHeader, tlsTlv, tlvText, writeProxyHeader } from '../protocols/index.js'
import type { ProxyHeader, Tlv } from '../protocols/index.js'
import { clientProxyHeader } from './client-proxy-header.js'
import { proxiedDigest } from './connection-digests.js'
import type { ConnectionDigest, TlsDigest } from './digest.js'

const CLIENT: ConnectionDigest = {
  peerAddress: '192.0.2.1:55555',
  localAddress: '198.51.100.2:443',
  peerIp: '192.0.2.1',
  establishedMs: 0,
  tls: null,
}
const TLS: TlsDigest = {
  version: 'TLSv1.3',
  cipher: 'TLS_AES_256_GCM_SHA384',
  sni: 'a.example',
  alpn: 'h2',
  resumed: false,
  handshakeMs: 0,
  peerCertificate: null,
  peerVerified: false,
}

const header = (client: ConnectionDigest | null, version: 1 | 2 = 2): ProxyHeader =>
  parseProxyHeader(clientProxyHeader(version, client))!.header
const facts = ({ tlvs, tls }: ProxyHeader): unknown[] => [
  tlvText(tlvs, TLV.ALPN),
  tlvText(tlvs, TLV.AUTHORITY),
  tlvText(tlvs, TLV.UNIQUE_ID),
  tls?.connected,
  tls && tlvText(tls.tlvs, TLV.SSL_VERSION),
]
/** The client behind a proxy that has told us of it. */
const behind = (tlvs: readonly Tlv[]): ConnectionDigest => {
  const ends = { kind: 'ip', host: '203.0.113.7', port: 7 } as const
  const parts = { version: 2, command: 'proxy', transport: 'stream', tlvs } as const
  const bytes = writeProxyHeader({ ...parts, source: ends, destination: ends })
  return proxiedDigest(CLIENT, parseProxyHeader(bytes)!.header)
}

describe('clientProxyHeader', () => {
  test('tells the addresses of the client, of any family', () => {
    const ends = (peerAddress: string, localAddress: string): unknown[] => {
      const { source, destination } = header({ ...CLIENT, peerAddress, localAddress })
      return [source, destination]
    }
    assert.deepEqual(ends('[2001:db8::1]:5', '[::1]:443'), [
      { kind: 'ip', host: '2001:db8::1', port: 5 },
      { kind: 'ip', host: '::1', port: 443 },
    ])
    assert.deepEqual(ends('unix:', 'unix:/run/a.sock'), [
      { kind: 'unix', path: '' },
      { kind: 'unix', path: '/run/a.sock' },
    ])
    assert.deepEqual(ends('unix:@a', 'unix:/run/a.sock')[0], { kind: 'unix', path: '\0a' })
    const version1 = header(CLIENT, 1)
    assert.deepEqual([version1.version, version1.source], [1, header(CLIENT).source])
  })

  test('says that a connection is our own', () => {
    assert.equal(header(null).command, 'local')
    assert.equal(String(clientProxyHeader(1, null)), 'PROXY UNKNOWN\r\n')
  })

  test('tells what is known of the TLS session', () => {
    const known = header({ ...CLIENT, tls: TLS })
    assert.deepEqual(facts(known), ['h2', 'a.example', undefined, true, 'TLSv1.3'])
    assert.equal(tlvText(known.tls!.tlvs, TLV.SSL_CIPHER), TLS.cipher)
    assert.deepEqual(facts(header(CLIENT)), [undefined, undefined, undefined, undefined, null])
  })

  test('names a client whose certificate was verified, and no other', async () => {
    const { cert } = await (await testCa()).issue({ names: ['client.test'] })
    const shown = { ...TLS, peerCertificate: new X509Certificate(cert) }
    const told = (tls: TlsDigest): unknown[] => {
      const { clientCert, verified, tlvs } = header({ ...CLIENT, tls }).tls!
      return [clientCert, verified, tlvText(tlvs, TLV.SSL_CN)]
    }
    assert.deepEqual(told({ ...shown, peerVerified: true }), [true, true, 'leaf'])
    assert.deepEqual(told(shown), [true, false, undefined])
    assert.deepEqual(told(TLS), [false, false, undefined])
  })

  test('passes on what the proxy before us has told, but for what we know ourselves', () => {
    const text = (type: number, value: string): Tlv => ({ type, value: Buffer.from(value) })
    const told = [
      text(TLV.AUTHORITY, 'told.example'),
      text(TLV.UNIQUE_ID, 'id-1'),
      text(0xea, 'private'),
      tlsTlv({ connected: true, clientCert: false, verified: false, tlvs: [] }),
    ]
    const passed = header(behind(told))
    assert.deepEqual(passed.source, { kind: 'ip', host: '203.0.113.7', port: 7 })
    assert.deepEqual(facts(passed), [undefined, 'told.example', 'id-1', true, undefined])
    assert.equal(passed.tlvs.length, 3)
    const own = header({ ...behind(told), tls: TLS })
    assert.deepEqual(facts(own), ['h2', 'a.example', 'id-1', true, 'TLSv1.3'])
  })
})
