import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ConnectionDigest } from './digest.js'
import { HttpPeer, PEER_DEFAULTS } from './http-peer.js'
import type { PeerOptions } from './http-peer.js'

describe('HttpPeer', () => {
  test('is made from an address, or from anything that has one', () => {
    const backend = { address: '10.0.0.1:80', weight: 2 }
    assert.equal(new HttpPeer(backend).address, '10.0.0.1:80')
    assert.equal(new HttpPeer(backend).target, backend)
    assert.equal(new HttpPeer('unix:/run/a.sock').address, 'unix:/run/a.sock')
    assert.equal(new HttpPeer('10.0.0.1:80').target, null)
    assert.throws(() => new HttpPeer('10.0.0.1'), { code: 'PGR_ADDRESS_INVALID' })
  })

  test('has the documented defaults', () => {
    const peer = new HttpPeer('a:1')
    const { connectTimeoutMs, totalConnectTimeoutMs, readTimeoutMs, writeTimeoutMs } = peer
    const { idleTimeoutMs, tunnelTimeoutMs } = peer
    const times = {
      connectTimeoutMs,
      totalConnectTimeoutMs,
      readTimeoutMs,
      writeTimeoutMs,
      idleTimeoutMs,
      tunnelTimeoutMs,
    }
    assert.deepEqual(times, PEER_DEFAULTS)
    assert.deepEqual([peer.tls, peer.sni, peer.bindTo], [false, '', ''])
  })

  test('peers that differ in anything that decides about trust or route share no connection', () => {
    const variants: PeerOptions[] = [
      {},
      { groupKey: 'a' },
      { bindTo: '127.0.0.1' },
      { bindTo: { address: '127.0.0.1', ports: [50_000, 50_009] } },
      { bindTo: { ports: [50_000, 50_009] } },
      { socket: { dscp: 46 } },
      { proxy: { address: '10.0.0.9:3128' } },
      { proxy: { address: '10.0.0.9:3128', headers: { 'Proxy-Authorization': 'Basic YTpi' } } },
      { proxyProtocol: 1 },
      { proxyProtocol: 2 },
      { tls: true },
      { tls: true, groupKey: 'a' },
      { tls: true, bindTo: '127.0.0.1' },
      { tls: true, sni: 'a' },
      { tls: true, sni: 'b' },
      { tls: true, sni: 'a', alternativeName: 'b' },
      { tls: true, sni: 'a', verify: false },
      { tls: true, sni: 'a', verifyHostname: false },
      { tls: true, sni: 'a', ca: 'ca' },
      { tls: true, sni: 'a', ca: ['ca', 'other'] },
      { tls: true, sni: 'a', cert: 'cert', key: 'key' },
    ]
    const keys = variants.map((options) => new HttpPeer('a:1', options).reuseKey)
    keys.push(new HttpPeer('a:2').reuseKey, new HttpPeer('unix:a:1').reuseKey)
    assert.equal(new Set(keys).size, keys.length)
  })

  test('peers share connections with a PROXY header only for one client, but TLS sessions for all', () => {
    const client = (port: number): ConnectionDigest => ({
      peerAddress: `192.0.2.1:${port}`,
      localAddress: '198.51.100.2:443',
      peerIp: '192.0.2.1',
      establishedMs: 0,
      tls: null,
    })
    const peer = new HttpPeer('a:1', { proxyProtocol: 1, tls: true, sni: 'a' })
    const [one, same, other] = [client(1), client(1), client(2)].map((each) => peer.forClient(each))
    assert.equal(one!.reuseKey, same!.reuseKey)
    assert.notEqual(one!.reuseKey, other!.reuseKey)
    assert.notEqual(one!.reuseKey, peer.reuseKey)
    assert.equal(one!.tlsOptions().sessionKey, other!.tlsOptions().sessionKey)
    assert.equal(String(one!.preamble), 'PROXY TCP4 192.0.2.1 198.51.100.2 1 443\r\n')
    assert.equal(String(peer.preamble), 'PROXY UNKNOWN\r\n')
    const plain = new HttpPeer('a:1')
    assert.equal(plain.forClient(client(1)), plain)
  })

  test('no secret of a proxy on the way stands in the key of a connection', () => {
    const headers = { 'Proxy-Authorization': 'Basic c2VjcmV0' }
    const { reuseKey } = new HttpPeer('a:1', { proxy: { address: 'b:1', headers } })
    assert.doesNotMatch(reuseKey, /c2VjcmV0/)
  })

  test('equal peers share connections, whatever their time-outs', () => {
    const tls = { tls: true, sni: 'a', ca: 'pem' }
    const key = new HttpPeer('a:1', tls).reuseKey
    assert.equal(new HttpPeer({ address: 'a:1' }, { ...tls, readTimeoutMs: 5 }).reuseKey, key)
    assert.equal(new HttpPeer('a:1', { ...tls, ca: Buffer.from('pem') }).reuseKey, key)
  })

  test('verifies the SNI, the alternative name, or the address itself', () => {
    const verified = (options: PeerOptions, address = '10.0.0.1:443'): string =>
      new HttpPeer(address, { tls: true, ...options }).tlsOptions().verifyName
    assert.equal(verified({ sni: 'a' }), 'a')
    assert.equal(verified({ sni: 'a', alternativeName: 'b' }), 'b')
    assert.equal(verified({}), '10.0.0.1')
    assert.equal(verified({}, '[::1]:443'), '::1')
    assert.equal(verified({}, 'name.example:443'), 'name.example')
    assert.equal(verified({ verifyHostname: false }), '')
    assert.equal(verified({ verify: false }), '')
    assert.equal(verified({ verify: false }, 'unix:/a'), '')
    assert.throws(() => verified({}, 'unix:/a'), { code: 'PGR_OPTION_INVALID' })
  })

  test('hands the certificates on, its own CA before the default one', () => {
    const options = { tls: true, sni: 'a', cert: 'cert', key: 'key' }
    const tls = new HttpPeer('a:1', options).tlsOptions('default')
    assert.deepEqual([tls.ca, tls.cert, tls.key], ['default', 'cert', 'key'])
    assert.equal(new HttpPeer('a:1', { ...options, ca: 'own' }).tlsOptions('default').ca, 'own')
    assert.deepEqual([tls.alpn, tls.verifyChain], [['http/1.1'], true])
    assert.equal('ca' in new HttpPeer('a:1', options).tlsOptions(), false)
  })

  test('shows where it leads', () => {
    assert.equal(String(new HttpPeer('a:1')), 'a:1')
    assert.equal(String(new HttpPeer('a:1', { tls: true })), 'a:1 (TLS)')
    assert.equal(String(new HttpPeer('a:1', { tls: true, sni: 'b' })), 'a:1 (TLS, b)')
  })
})
