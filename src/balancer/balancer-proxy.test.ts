import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProxyError } from '../error/index.js'
import type { ErrorCode } from '../error/index.js'
import { RequestHeader } from '../http/index.js'
import { LoadBalancer } from '../load-balancing/index.js'
import type { Session } from '../proxy/index.js'
import { HttpPeer } from '../transport/index.js'
import { BackendRoutes } from './backend-routes.js'
import { BalancerProxy } from './balancer-proxy.js'
import { defaultSettings } from './balancer-settings.js'
import type { UpstreamSettings } from './balancer-settings.js'

async function proxyFor(upstream: Partial<UpstreamSettings>): Promise<BalancerProxy> {
  const defaults = defaultSettings([], {
    name: 'test',
    backends: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'].map((address) => ({
      address,
      weight: 1,
    })),
    balance: 'round_robin',
    hostHeader: undefined,
    protocol: 'http1',
    tls: undefined,
    healthCheck: undefined,
  })
  const settings = { ...defaults, upstream: { ...defaults.upstream, ...upstream } }
  const routes = new BackendRoutes(settings.upstream)
  const balancer = await LoadBalancer.tryFromIter(routes.backends)
  return new BalancerProxy({ settings, balancer, routes })
}

/** What the proxy reads of a session. */
function fakeSession(method = 'GET', host = 'www'): Session {
  const reqHeader = new RequestHeader(method, '/')
  reqHeader.insertHeader('Host', host)
  const session = {
    attempts: [],
    clientIp: '10.0.0.9',
    digest: { tls: null },
    reqHeader,
    getHeader: (name: string) => reqHeader.getHeader(name),
  }
  return session as unknown as Session
}

/** Makes an attempt and returns where it went. */
function attempt(proxy: BalancerProxy, session: Session): HttpPeer {
  const peer = proxy.upstreamPeer(session)
  assert.ok(peer)
  session.attempts = [...session.attempts, { peer, reused: false, error: null }]
  return peer
}

/** What the proxy decides after a failure of the last attempt. */
function verdict(proxy: BalancerProxy, session: Session, code: ErrorCode): string {
  const { peer } = session.attempts.at(-1)!
  const error = new ProxyError(code)
  if (code.startsWith('PGR_CONNECT')) proxy.failToConnect(session, peer, error)
  else proxy.errorWhileProxy(session, peer, error)
  return error.retry
}

describe('BalancerProxy', () => {
  test('tries no backend twice while another is left', async () => {
    const proxy = await proxyFor({ retries: { max: 5, on: ['connect'] } })
    for (let request = 0; request < 6; request++) {
      const session = fakeSession()
      const tried = [attempt(proxy, session), attempt(proxy, session), attempt(proxy, session)]
      assert.equal(new Set(tried.map((peer) => peer.address)).size, 3)
      assert.ok(proxy.upstreamPeer(session), 'then it tries one again')
    }
  })

  test('retries a failed connect as often as it may', async () => {
    const proxy = await proxyFor({ retries: { max: 2, on: ['connect'] } })
    const session = fakeSession('POST')
    const verdicts: string[] = []
    for (let tries = 0; tries < 3; tries++) {
      attempt(proxy, session)
      verdicts.push(verdict(proxy, session, 'PGR_CONNECT_REFUSED'))
    }
    assert.deepEqual(verdicts, ['yes', 'yes', 'no'])
  })

  test('retries a reset only for methods that may be repeated', async () => {
    const proxy = await proxyFor({})
    for (const [method, expected] of [
      ['GET', 'yes'],
      ['DELETE', 'yes'],
      ['POST', 'no'],
      ['get', 'no'],
    ] as const) {
      const session = fakeSession(method)
      attempt(proxy, session)
      assert.equal(verdict(proxy, session, 'PGR_UPSTREAM_CLOSED'), expected, method)
    }
  })

  test('does not retry what is neither a failed connect nor a reset', async () => {
    const proxy = await proxyFor({})
    for (const code of [
      'PGR_UPSTREAM_READ_TIMEOUT',
      'PGR_RESPONSE_INVALID',
      'PGR_HOOK_FAILED',
    ] as const) {
      const session = fakeSession()
      attempt(proxy, session)
      assert.equal(verdict(proxy, session, code), 'no', code)
    }
  })

  test('retries nothing that is not asked for, a lost pooled connection included', async () => {
    const proxy = await proxyFor({ retries: { max: 3, on: [] } })
    const session = fakeSession()
    const peer = attempt(proxy, session)
    assert.equal(verdict(proxy, session, 'PGR_CONNECT_REFUSED'), 'no')
    const pooled = new ProxyError('PGR_UPSTREAM_CLOSED', undefined, { retry: 'yes' })
    proxy.errorWhileProxy(session, peer, pooled)
    assert.equal(pooled.retry, 'no')
  })

  test('sets Host as told, and tells the backend who asks', async () => {
    const cases: readonly (readonly [Partial<UpstreamSettings>, string])[] = [
      [{}, 'www'],
      [{ hostHeader: { name: 'api.internal' } }, 'api.internal'],
      [
        { hostHeader: 'upstream', backends: [{ address: '127.0.0.1:8080', weight: 1 }] },
        '127.0.0.1:8080',
      ],
      [{ hostHeader: 'upstream', backends: [{ address: 'localhost:80', weight: 1 }] }, 'localhost'],
      [
        { hostHeader: 'upstream', backends: [{ address: 'unix:/run/a.sock', weight: 1 }] },
        'localhost',
      ],
    ]
    for (const [upstream, expected] of cases) {
      const proxy = await proxyFor(upstream)
      const session = fakeSession()
      attempt(proxy, session)
      const header = session.reqHeader.clone()
      proxy.upstreamRequestFilter(session, header)
      assert.equal(header.getHeader('host'), expected)
      assert.equal(header.getHeader('x-forwarded-host'), 'www')
      assert.equal(header.getHeader('x-forwarded-for'), '10.0.0.9')
    }
  })

  test('asks with TLS for the name that the backend was written with, unless told another', async () => {
    const tls = { sni: undefined, verify: true, ca: undefined, identity: undefined }
    const backends = [{ address: 'localhost:443', weight: 1 }]
    const named = await proxyFor({ backends, tls })
    assert.equal(named.upstreamPeer(fakeSession())?.sni, 'localhost')
    const told = await proxyFor({ backends, tls: { ...tls, sni: 'one.one.one.one' } })
    assert.equal(told.upstreamPeer(fakeSession())?.sni, 'one.one.one.one')
    const bare = await proxyFor({ tls })
    assert.equal(bare.upstreamPeer(fakeSession())?.sni, '')
  })
})
