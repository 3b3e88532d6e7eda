import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConfigDocument } from '../configuration/index.js'
import { ProxyError } from '../error/index.js'
import { BALANCER_DEFAULTS } from './balancer-settings.js'
import type { BalancerSettings } from './balancer-settings.js'
import { readBalancer } from './read-balancer.js'

/** The least that a file can hold; the cases add lines to it, so that theirs start at 3. */
const LEAST =
  "listeners: [{ address: '127.0.0.1:0' }]\nupstreams: { a: { backends: [{ address: 'b:1' }] } }\n"

function read(text: string): BalancerSettings {
  return readBalancer(new ConfigDocument(text, '/etc/p/p.yaml')).settings
}

function messageOf(text: string): string {
  try {
    read(text)
  } catch (thrown) {
    assert.ok(thrown instanceof ProxyError)
    assert.equal(thrown.code, 'PGR_CONFIGURATION_INVALID')
    return thrown.message.replaceAll('/etc/p/p.yaml', 'F')
  }
  return 'ok'
}

/** `text` in the place of the upstream's body. */
const upstream = (text: string): string =>
  `listeners: [{ address: '127.0.0.1:0' }]\nupstreams:\n  a:\n    backends: [{ address: 'b:1' }]\n    ${text}\n`

/** Text of a file, and the whole message that it must give. */
const GOLDEN: readonly (readonly [string, string])[] = [
  [LEAST, 'ok'],
  ['', 'F:1:1: listeners: missing; expected a list\nF:1:1: upstreams: missing; expected a mapping'],
  [`${LEAST}admin: { address: 127.0.0.1:6190 }`, 'F:3:8: admin: not available yet; leave it out'],
  [`${LEAST}routes: []`, 'F:3:9: routes: not available yet; leave it out'],
  [`${LEAST}access_log: { path: "-" }`, 'F:3:13: access_log: not available yet; leave it out'],
  [
    `${LEAST}forwarding: { x_forwardd: true }`,
    'F:3:15: forwarding.x_forwardd: unknown key; did you mean x_forwarded?',
  ],
  [
    `${LEAST}forwarding: { trusted_proxies: [me] }`,
    'F:3:33: forwarding.trusted_proxies[0]: "me": expected an IP address, a network such as 10.0.0.0/8, or unix:',
  ],
  [
    `${LEAST}limits: { request_line: 0, headers: 64kB, header_cout: 1, retry_buffer: 2gb }`,
    [
      'F:3:25: limits.request_line: got 0; expected a size from 1b to 16mb, such as 64kb or a number of bytes',
      'F:3:43: limits.header_cout: unknown key; did you mean header_count?',
      'F:3:73: limits.retry_buffer: got "2gb"; expected a size from 0b to 1gb, such as 64kb or a number of bytes',
    ].join('\n'),
  ],
  [
    `${LEAST}client_timeouts: { header: 0s }`,
    'F:3:28: client_timeouts.header: got "0s"; expected a duration with its unit of at least 1ms, such as 1s, 500ms or 2m',
  ],
  [
    `${LEAST}client_timeouts: { read: 1s }`,
    'F:3:20: client_timeouts.read: unknown key; known are header, body, write',
  ],
  [`${LEAST}abort_on_close: 1`, 'F:3:17: abort_on_close: got 1; expected true or false'],
  [
    `${LEAST}max_connections: { per_client: -1 }`,
    'F:3:32: max_connections.per_client: got -1; expected an integer from 0 to 1000000',
  ],
  [
    "listeners: []\nupstreams: { a: { backends: [{ address: 'b:1' }] } }",
    'F:1:12: listeners: empty; expected at least one listener',
  ],
  [
    "listeners: [{ address: 'localhost:80', h2c: 1 }]\nupstreams: { a: { backends: [] } }",
    [
      'F:1:24: listeners[0].address: "localhost:80": an IP address is needed, not a name',
      'F:1:45: listeners[0].h2c: got 1; expected true or false',
      'F:2:29: upstreams.a.backends: empty; expected at least one backend',
    ].join('\n'),
  ],
  [
    "listeners: [{ address: '[::1]:80' }, { address: '[::1]:80' }]\nupstreams: { a: { backends: [{ address: 'b:1' }] } }",
    'F:1:49: listeners[1].address: "[::1]:80" is the address of listeners[0] already; expected another',
  ],
  [
    "listeners: [{ address: '127.0.0.1:0' }]\nupstreams: { a: { backends: [{ address: 'b:1' }] }, c: { backends: [{ address: 'b:1' }] } }",
    'F:2:12: upstreams: got 2 upstreams; expected exactly one, because routes are not available yet',
  ],
  [
    "listeners: [{ address: '127.0.0.1:0' }]\nupstreams: { a: { discover: { dns: 'a:1' } } }",
    'F:2:17: upstreams.a.backends: missing; expected a list\nF:2:29: upstreams.a.discover: not available yet; leave it out',
  ],
  [
    "listeners: [{ address: '127.0.0.1:0' }]\nupstreams: { a: { backends: [{ address: b, weight: 0, backup: true }] } }",
    'F:2:41: upstreams.a.backends[0].address: "b": expected HOST:PORT or unix:/PATH\nF:2:52: upstreams.a.backends[0].weight: got 0; expected an integer from 1 to 65535\nF:2:63: upstreams.a.backends[0].backup: true: not available yet; expected false',
  ],
  [
    upstream('balance: consistent'),
    'F:5:14: upstreams.a.balance: "consistent": not available yet; expected one of round_robin, random',
  ],
  [upstream('hash_on: ip'), 'F:5:14: upstreams.a.hash_on: not available yet; leave it out'],
  [
    upstream('protocol: h2'),
    'F:5:15: upstreams.a.protocol: "h2" is agreed on in the TLS handshake; expected tls beside it, or h2c',
  ],
  [
    upstream('protocol: h2c\n    tls: {}'),
    'F:5:15: upstreams.a.protocol: "h2c" is HTTP/2 in the clear; expected h2 beside tls',
  ],
  [
    upstream('grpc_web: true'),
    'F:5:15: upstreams.a.grpc_web: gRPC is HTTP/2; expected protocol: h2, h2c or auto beside it',
  ],
  [
    upstream('protocol: h3\n    max_h2_streams: 0'),
    'F:5:15: upstreams.a.protocol: got "h3"; expected one of http1, h2, h2c, auto\nF:6:21: upstreams.a.max_h2_streams: got 0; expected an integer from 1 to 1000',
  ],
  [
    upstream('passive_health: {}'),
    'F:5:21: upstreams.a.passive_health: not available yet; leave it out',
  ],
  [
    upstream('retries: { max: 2, on: [connect, 502], budget_percent: 20 }'),
    'F:5:38: upstreams.a.retries.on[1]: 502: not available yet; expected one of connect, reset\nF:5:60: upstreams.a.retries.budget_percent: not available yet; leave it out',
  ],
  [
    upstream('retries: { non_idempotent: true }'),
    'F:5:32: upstreams.a.retries.non_idempotent: true: not available yet; expected false',
  ],
  [
    upstream('health_check: { type: http, path: /healthz }'),
    'F:5:27: upstreams.a.health_check.type: "http": not available yet; expected tcp\nF:5:39: upstreams.a.health_check.path: not available yet; leave it out',
  ],
  [
    upstream('health_check: { interval: 1 }'),
    'F:5:19: upstreams.a.health_check.type: missing; expected tcp\nF:5:31: upstreams.a.health_check.interval: got 1; expected a duration with its unit of at least 1ms, such as 1s, 500ms or 2m',
  ],
  [
    upstream('timeouts: { conect: 1s }'),
    'F:5:17: upstreams.a.timeouts.conect: unknown key; did you mean connect?',
  ],
  [
    upstream('host_header: "a b"'),
    'F:5:18: upstreams.a.host_header: got "a b"; expected a host such as api.example.com, or upstream',
  ],
  [
    upstream('tls: { ca: no.crt }'),
    'F:5:16: upstreams.a.tls.ca: /etc/p/no.crt cannot be read: no such file',
  ],
  [
    upstream('tls: { cert: c.crt }'),
    'F:5:10: upstreams.a.tls: cert and key belong together; expected both or neither\nF:5:18: upstreams.a.tls.cert: /etc/p/c.crt cannot be read: no such file',
  ],
  [`${LEAST}threads: 0`, 'F:3:10: threads: got 0; expected an integer from 1 to 256'],
]

describe('readBalancer', () => {
  for (const [text, expected] of GOLDEN) {
    test(`answers ${JSON.stringify(text.replace(LEAST, ''))} with the place and what would be right`, () => {
      assert.equal(messageOf(text), expected)
    })
  }

  test('fills everything that is left out with the documented defaults', () => {
    assert.deepEqual(read(LEAST), {
      listeners: [{ address: '127.0.0.1:0', tls: undefined, h2c: false }],
      upstream: {
        name: 'a',
        backends: [{ address: 'b:1', weight: 1 }],
        balance: 'round_robin',
        hostHeader: undefined,
        protocol: 'http1',
        maxH2Streams: 100,
        grpcWeb: false,
        tls: undefined,
        healthCheck: undefined,
        retries: { max: 1, on: ['connect', 'reset'] },
        timeouts: BALANCER_DEFAULTS.timeouts,
        maxIdle: undefined,
      },
      forwarding: { xForwarded: true, via: true, forwarded: false, trustedProxies: [] },
      maxConnections: { perListener: 10_000, perClient: 0 },
      limits: {
        maxRequestLineBytes: 16_384,
        maxHeaderBytes: 65_536,
        maxHeaders: 128,
        maxRetryBytes: 65_536,
      },
      clientTimeouts: { headerMs: 60_000, bodyMs: 60_000, writeMs: 60_000 },
      abortOnClose: true,
    })
  })

  test('reads every key that is available', () => {
    const settings = read(`
listeners: [{ address: 'unix:run/p.sock', h2c: true, proxy_protocol: false }, { address: '[::]:80' }]
upstreams:
  api:
    backends: [{ address: 'unix:api.sock', weight: 3, backup: false }, { address: '[::1]:8080' }]
    balance: random
    host_header: upstream
    protocol: auto
    max_h2_streams: 7
    grpc_web: true
    tls: { sni: one.one.one.one, verify: false }
    health_check: { type: tcp, interval: 2s, timeout: 500ms, consecutive_success: 2, consecutive_failure: 3 }
    retries: { max: 0, on: [], non_idempotent: false }
    timeouts: { connect: 2s, total_connect: 4s, read: 1m, write: 30s, idle: 0s, tunnel: 1h }
    keepalive: { max_idle: 7 }
forwarding: { x_forwarded: false, via: false, forwarded: true, trusted_proxies: [10.0.0.0/8, '::1'] }
max_connections: { per_listener: 5, per_client: 2 }
limits: { request_line: 4kb, headers: 8000, header_count: 50, retry_buffer: 0 }
client_timeouts: { header: 10s, body: 500ms, write: 2m }
abort_on_close: false
`)
    assert.deepEqual(settings, {
      listeners: [
        { address: 'unix:/etc/p/run/p.sock', tls: undefined, h2c: true },
        { address: '[::]:80', tls: undefined, h2c: false },
      ],
      upstream: {
        name: 'api',
        backends: [
          { address: 'unix:/etc/p/api.sock', weight: 3 },
          { address: '[::1]:8080', weight: 1 },
        ],
        balance: 'random',
        hostHeader: 'upstream',
        protocol: 'auto',
        maxH2Streams: 7,
        grpcWeb: true,
        tls: { sni: 'one.one.one.one', verify: false, ca: undefined, identity: undefined },
        healthCheck: {
          intervalMs: 2_000,
          timeoutMs: 500,
          consecutiveSuccess: 2,
          consecutiveFailure: 3,
        },
        retries: { max: 0, on: [] },
        timeouts: {
          connectMs: 2_000,
          totalConnectMs: 4_000,
          readMs: 60_000,
          writeMs: 30_000,
          idleMs: 0,
          tunnelMs: 3_600_000,
        },
        maxIdle: 7,
      },
      forwarding: {
        xForwarded: false,
        via: false,
        forwarded: true,
        trustedProxies: ['10.0.0.0/8', '::1'],
      },
      maxConnections: { perListener: 5, perClient: 2 },
      limits: {
        maxRequestLineBytes: 4_096,
        maxHeaderBytes: 8_000,
        maxHeaders: 50,
        maxRetryBytes: 0,
      },
      clientTimeouts: { headerMs: 10_000, bodyMs: 500, writeMs: 120_000 },
      abortOnClose: false,
    })
  })
})
