/** The recorder writes calls down, and changes nothing that the pipeline or the hooks could notice. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProxyError } from '../error/index.js'
import { ResponseHeader } from '../http/index.js'
import { Session } from '../proxy/index.js'
import { RequestIds } from '../proxy/request-ids.js'
import type { ProxyHttp } from '../proxy/index.js'
import type { DownstreamSession } from '../session/index.js'
import { ManualClock } from '../time/index.js'
import { HttpPeer } from '../transport/index.js'
import { HookRecorder } from './hook-recorder.js'

/** A recorder around `hooks`, and sessions as the pipeline makes them. */
function recorded<Ctx>(hooks: ProxyHttp<Ctx>) {
  const clock = new ManualClock()
  const trace: string[] = []
  const recorder = new HookRecorder(hooks, clock, (event) => trace.push(event))
  const session = (peerAddress = '192.0.2.1:5000'): Session =>
    new Session(
      { digest: { peerAddress } } as unknown as DownstreamSession,
      clock,
      new RequestIds(0, 0),
    )
  return { clock, trace, recorder, wrapped: recorder.hooks, session }
}

/** The least that a proxy can have. */
const PLAIN: ProxyHttp = { newCtx: () => undefined, upstreamPeer: () => undefined }

describe('HookRecorder', () => {
  test('leaves absent hooks absent, but for the two that it needs', () => {
    const { wrapped } = recorded(PLAIN)
    assert.equal(wrapped.requestFilter, undefined)
    assert.equal(wrapped.failToProxy, undefined)
    assert.equal(wrapped.requestCacheFilter, undefined)
    assert.equal(typeof wrapped.earlyRequestFilter, 'function')
    assert.equal(typeof wrapped.logging, 'function')
  })

  test('keeps `this`, private fields and the prototype of a class', () => {
    class Counting implements ProxyHttp<number> {
      #made = 0
      newCtx(): number {
        return ++this.#made
      }
      upstreamPeer(): HttpPeer {
        return new HttpPeer(`10.0.0.${this.#made}:80`)
      }
    }
    const { wrapped, session } = recorded(Object.freeze(new Counting()))
    assert.equal(wrapped.newCtx(), 1)
    const peer = wrapped.upstreamPeer(session(), 1)
    assert.ok(peer instanceof HttpPeer)
    assert.equal(peer.address, '10.0.0.1:80')
  })

  test('passes on results, promises and throws as they are', () => {
    const promise = Promise.resolve()
    const error = new Error('no')
    const { wrapped, session } = recorded<void>({
      ...PLAIN,
      earlyRequestFilter: () => promise,
      requestFilter: () => {
        throw error
      },
    })
    assert.equal(wrapped.earlyRequestFilter?.(session()), promise)
    assert.throws(
      () => wrapped.requestFilter?.(session()),
      (thrown) => thrown === error,
    )
  })

  test('passes on what is no hook, so that the proxy can refuse it', () => {
    const { wrapped } = recorded({ ...PLAIN, requestFilter: 'no' } as unknown as ProxyHttp)
    assert.equal(wrapped.requestFilter, 'no')
  })

  test('records each call with its time and the fact that tells it from others', () => {
    const { wrapped, session, clock, recorder, trace } = recorded<number>({
      newCtx: () => 7,
      upstreamPeer: () => undefined,
      connectedToUpstream: () => undefined,
      responseFilter: () => undefined,
      responseBodyFilter: () => undefined,
      failToProxy: () => undefined,
    })
    const one = session()
    const error = new ProxyError('PGR_NO_PEER')
    const digest = one.digest
    const ctx = wrapped.newCtx()
    void wrapped.earlyRequestFilter?.(one, ctx)
    clock.advance(3)
    void wrapped.upstreamPeer(one, ctx)
    void wrapped.connectedToUpstream?.(one, true, new HttpPeer('10.0.0.1:80'), digest, ctx)
    void wrapped.responseFilter?.(one, new ResponseHeader(204), ctx)
    void wrapped.responseBodyFilter?.(one, Buffer.from('ab'), false, ctx)
    void wrapped.responseBodyFilter?.(one, undefined, true, ctx)
    void wrapped.failToProxy?.(one, error, ctx)
    void wrapped.logging?.(one, error, ctx)
    const [only] = recorder.sessionsOf('192.0.2.1:5000')
    assert.deepEqual(only?.calls, [
      { name: 'newCtx', atMs: 0 },
      { name: 'upstreamPeer', atMs: 3 },
      { name: 'connectedToUpstream', atMs: 3, detail: 'reused' },
      { name: 'responseFilter', atMs: 3, detail: '204' },
      { name: 'responseBodyFilter', atMs: 3, detail: '2 bytes' },
      { name: 'responseBodyFilter', atMs: 3, detail: 'end' },
      { name: 'failToProxy', atMs: 3, detail: 'PGR_NO_PEER' },
    ])
    assert.equal(only.loggings, 1)
    assert.equal(only.error, error)
    assert.equal(trace[0], 'hook 192.0.2.1:5000 newCtx')
    assert.equal(trace.at(-1), 'hook 192.0.2.1:5000 logging PGR_NO_PEER')
  })

  test('keeps sessions apart, in their order and by client', () => {
    const { wrapped, session, recorder } = recorded(PLAIN)
    const sessions = [session('192.0.2.1:1'), session('192.0.2.2:1'), session('192.0.2.1:1')]
    for (const one of sessions) {
      wrapped.newCtx()
      void wrapped.earlyRequestFilter?.(one)
    }
    assert.deepEqual(
      recorder.sessions.map((one) => one.session),
      sessions,
    )
    assert.deepEqual(
      recorder.sessionsOf('192.0.2.1:1').map((one) => one.session),
      [sessions[0], sessions[2]],
    )
    assert.deepEqual(recorder.sessionsOf('192.0.2.3:1'), [])
  })

  test('gives a newCtx that throws to no session', () => {
    let fails = true
    const { wrapped, session, recorder } = recorded({
      ...PLAIN,
      newCtx: () => {
        if (fails) throw new Error('no ctx')
      },
    })
    assert.throws(() => {
      wrapped.newCtx()
    }, /no ctx/)
    fails = false
    wrapped.newCtx()
    void wrapped.earlyRequestFilter?.(session())
    assert.equal(recorder.sessions[0]?.calls.length, 1)
  })
})
