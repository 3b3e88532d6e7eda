import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConfigDocument } from '../configuration/index.js'
import { readBalancer } from './read-balancer.js'

function read(listener: string, upstream = '') {
  const text = `listeners: [{ address: '127.0.0.1:0'${listener} }]
upstreams: { a: { backends: [{ address: 'b:1' }]${upstream} } }
`
  const { settings } = readBalancer(new ConfigDocument(text, '/etc/p/F'))
  return { listener: settings.listeners[0]?.network, upstream: settings.upstream.network }
}

describe('the keys about the network', () => {
  test('say who may connect to a listener', () => {
    assert.deepEqual(read(', proxy_protocol: true').listener, { proxyProtocol: true })
    assert.equal(read(', proxy_protocol: false').listener, undefined)
    const lists =
      ', proxy_protocol: { trusted: [10.0.0.0/8, "unix:"] }, allow: ["::/0"], deny: [10.0.0.1]'
    assert.deepEqual(read(lists).listener, {
      proxyProtocol: { trusted: ['10.0.0.0/8', 'unix:'] },
      allow: ['::/0'],
      deny: ['10.0.0.1'],
    })
  })

  test('say how sockets are, on both sides', () => {
    const common = 'dscp: 46, receive_buffer: 64kb, send_buffer: 1mb'
    const keepalive = 'keepalive: { idle: 30s, interval: 5s, count: 3, user_timeout: 500ms }'
    const expected = {
      tcpKeepalive: { idleMs: 30_000, intervalMs: 5_000, count: 3, userTimeoutMs: 500 },
      dscp: 46,
      receiveBufferBytes: 65_536,
      sendBufferBytes: 1_048_576,
    }
    const own = 'fast_open: 16, reuse_port: true, ipv6_only: false'
    assert.deepEqual(read(`, tcp: { ${common}, ${keepalive}, ${own} }`).listener, {
      socket: { ...expected, tcpFastOpen: 16, reusePort: true, ipv6Only: false },
    })
    assert.deepEqual(read('', `, tcp: { ${common}, ${keepalive}, fast_open: true }`).upstream, {
      socket: { ...expected, tcpFastOpen: true },
    })
  })

  test('say how backends are reached', () => {
    const keys =
      ', proxy_protocol: v2, bind_to: { address: "::1", ports: [40000, 45000], fallback: true }'
    const proxy = ', proxy: { address: "unix:run/proxy.sock", headers: { X-Key: "1" } }'
    assert.deepEqual(read('', keys + proxy).upstream, {
      proxyProtocol: 2,
      bindTo: { address: '::1', ports: [40_000, 45_000], fallback: true },
      proxy: { address: 'unix:/etc/p/run/proxy.sock', headers: { 'X-Key': '1' } },
    })
    assert.equal(read('', ', proxy_protocol: v1').upstream?.proxyProtocol, 1)
    assert.equal(read('').upstream, undefined)
  })

  const bad: readonly (readonly [listener: string, upstream: string, message: RegExp])[] = [
    [', proxy_protocol: v2', '', /got "v2"; expected true, false or \{ trusted/],
    [', proxy_protocol: { trusted: [lb] }', '', /"lb": expected an IP address, a network/],
    [', proxy_protocol: { trust: [] }', '', /expected true, false or \{ trusted/],
    [', allow: []', '', /allow: empty; expected who may connect/],
    [', deny: [10.0.0.0/33]', '', /deny\[0\]: "10.0.0.0\/33": expected an IP address/],
    [', tcp: { dscp: 64 }', '', /dscp: got 64; expected an integer from 0 to 63/],
    [', tcp: { keepalive: { idle: 1500ms } }', '', /idle: expected whole seconds/],
    [', tcp: { fast_open: true }', '', /fast_open: got true; expected an integer/],
    ['', ', tcp: { reuse_port: true }', /reuse_port: unknown key/],
    ['', ', proxy_protocol: true', /expected one of v1, v2/],
    ['', ', bind_to: { ports: [45000, 40000] }', /expected the lower port first/],
    ['', ', bind_to: { address: eth0 }', /got "eth0"; expected an IP address/],
    ['', ', proxy: { address: "proxy" }', /expected HOST:PORT or unix/],
  ]
  for (const [listener, upstream, message] of bad) {
    test(`are refused with what would be right: ${listener}${upstream}`, () => {
      assert.throws(() => read(listener, upstream), { code: 'PGR_CONFIGURATION_INVALID', message })
    })
  }
})
