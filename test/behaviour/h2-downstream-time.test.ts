/** How long a client that speaks HTTP/2 may take for what, and what it may do for as long as it likes. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { reply } from '../../src/testing/index.js'
import { GET, H2_ERROR } from '../helpers/frame-client.js'
import * as h2 from '../helpers/h2-frames.js'
import { frameClient } from '../helpers/memory-frame-client.js'

const POST: readonly (readonly [string, string])[] = [[':method', 'POST'], ...GET.slice(1)]
const OPEN = 0
/** A step of the wheel, and what a look at the connection may come late. */
const LATE_MS = 1_500

describe('a client of HTTP/2', () => {
  test('that pauses within a body gets 408 after the body time-out, and its other requests are served', async (t) => {
    const { world, upstream, client } = await frameClient(t, { peer: { readTimeoutMs: 0 } })
    upstream.answer(reply(200, 'ok').after(200_000))
    client.answersPings = true
    client.request(1)
    client.request(3, POST, OPEN)
    client.send(h2.DATA, 0, 3, Buffer.from('begun'))
    await world.advance(59_000)
    client.send(h2.DATA, 0, 3, Buffer.from('and more'))
    await world.advance(59_000)
    assert.equal(client.find(h2.HEADERS, 3), undefined)
    await world.advance(LATE_MS)
    assert.ok(client.isEnded(3))
    assert.equal(world.counters.errors('PGR_BODY_TIMEOUT'), 1)
    assert.equal(client.goawayCode, undefined)
    await world.until(() => client.isEnded(1), 'the other answer', 100_000)
    assert.equal(String(client.body(1)), 'ok')
  })

  test('that takes nothing of a response loses the stream after the write time-out', async (t) => {
    // No window at all: the stream waits while the connection is fine.
    const { world, upstream, client } = await frameClient(t, {}, h2.settings({ 4: 0 }))
    upstream.answer(reply(200, 'x'.repeat(1_000_000)))
    client.answersPings = true
    client.request(1)
    await world.until(() => client.find(h2.HEADERS, 1) !== undefined, 'the head')
    await world.advance(59_000)
    assert.equal(client.resetOf(1), undefined)
    await world.advance(LATE_MS)
    assert.equal(client.resetOf(1), H2_ERROR.INTERNAL_ERROR)
    assert.equal(world.counters.errors('PGR_DOWNSTREAM_WRITE_TIMEOUT'), 1)
    assert.equal(client.ended, false)
  })

  test('that reads nothing at all loses what it has asked for, and then the connection', async (t) => {
    const { world, upstream, client } = await frameClient(
      t,
      { world: { link: { bufferBytes: 20_000 } } },
      h2.settings({ 4: 2 ** 31 - 1 }),
    )
    upstream.answer(reply(200, 'x'.repeat(1_000_000)))
    client.request(1)
    await world.until(() => client.find(h2.HEADERS, 1) !== undefined, 'the head')
    client.pause()
    await world.advance(60_000 + LATE_MS)
    assert.equal(world.counters.errors('PGR_DOWNSTREAM_WRITE_TIMEOUT'), 1)
    await world.advance(70_000)
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 0)
  })

  test('that asks for nothing is told to go after the time for a head', async (t) => {
    const { world, upstream, client } = await frameClient(t)
    upstream.answer(reply(200, 'ok'))
    client.answersPings = true
    await world.advance(30_000)
    client.request(1)
    await world.advance(59_000)
    assert.ok(client.isEnded(1))
    assert.equal(client.goawayCode, undefined)
    await world.advance(LATE_MS)
    assert.equal(client.goawayCode, H2_ERROR.NO_ERROR)
    await world.advance(2_000 + LATE_MS)
    assert.equal(client.ended, true)
  })

  test('that never ends a head loses the connection after the time for one', async (t) => {
    const { world, upstream, client } = await frameClient(t, { peer: { readTimeoutMs: 0 } })
    upstream.answer(reply(200, 'ok').after(1_000_000))
    client.request(1)
    client.send(h2.HEADERS, h2.END_STREAM, 3, h2.fields(GET))
    await world.advance(59_000)
    assert.equal(client.ended, false)
    await world.advance(5_000)
    assert.equal(client.ended, true)
    assert.equal(world.counters.errors('PGR_HTTP2_FLOOD'), 1)
  })

  test('that pings each second may wait for an answer as long as it likes', async (t) => {
    const { world, upstream, client } = await frameClient(t, { peer: { readTimeoutMs: 0 } })
    upstream.answer(reply(200, 'ok').after(4 * 3_600_000))
    client.answersPings = true
    client.request(1)
    for (let second = 0; second < 4 * 3_600; second++) {
      client.send(h2.PING, 0, 0, new Uint8Array(8))
      await world.advance(1_000)
    }
    await world.until(() => client.isEnded(1), 'the answer', 60_000)
    assert.equal(String(client.body(1)), 'ok')
  })

  test('that takes much through a small window may say so for each piece', async (t) => {
    const total = 1_000_000
    const { world, upstream, client } = await frameClient(
      t,
      {
        world: { link: { latencyMs: 5 } },
        // Far less than what the pieces take: they have to be paid by the body.
        options: { http2: { overheadBurstBytes: 1_000, overheadBytesPerSecond: 1 } },
      },
      h2.settings({ 4: 1_000 }),
    )
    upstream.answer(reply(200, 'x'.repeat(total)))
    client.answersPings = true
    client.request(1)
    let seen = 0
    let taken = 0
    await world.until(
      () => {
        for (const { type, payload } of client.frames.slice(seen)) {
          if (type !== h2.DATA || payload.length === 0) continue
          taken += payload.length
          client.send(h2.WINDOW_UPDATE, 0, 1, h2.words(payload.length))
          client.send(h2.WINDOW_UPDATE, 0, 0, h2.words(payload.length))
        }
        seen = client.frames.length
        // Where a body had to wait for the window, Node ends it by a reset without an error.
        return taken === total || client.ended
      },
      'the whole answer',
      60_000,
    )
    assert.equal(taken, total)
    assert.equal(client.goawayCode, undefined)
    assert.ok(world.clock.nowMs() > 5_000, 'it was looked at several times')
    client.destroy()
    const hasLeft = (): boolean => world.counters.get('downstreamConnectionsOpen') === 0
    await world.until(hasLeft, 'the proxy to notice', 1_000)
  })

  test('that answers no ping may wait for an answer all the same', async (t) => {
    const { world, upstream, client } = await frameClient(t, { peer: { readTimeoutMs: 0 } })
    upstream.answer(reply(200, 'ok').after(1_000_000))
    client.request(1)
    await world.advance(1_000_000)
    await world.until(() => client.isEnded(1), 'the answer', 1_000)
    assert.equal(client.resetOf(1), undefined)
  })

  test('that is quiet in between is asked for one sign of life, not for more', async (t) => {
    const { world, upstream, client } = await frameClient(t)
    upstream.answer(reply(200, 'ok'))
    client.answersPings = true
    client.request(1)
    await world.advance(50_000)
    assert.equal(client.frames.filter(({ type }) => type === h2.PING).length, 1)
    assert.equal(client.goawayCode, undefined)
  })
})
