/** Clients that send what only costs work: their connection ends, and our memory stays what it was. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { FrameClient, GET, H2_ERROR } from '../helpers/frame-client.js'
import { FLOODS } from '../helpers/h2-floods.js'
import * as h2 from '../helpers/h2-frames.js'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy, StartProxyOptions } from '../helpers/start-proxy.js'
import { startBackend } from '../process/backend.js'

const MIB = 1024 * 1024
/** More than any flood needs. */
const MAX_ROUNDS = 1_000

describe('HTTP/2 floods', { timeout: 120_000 }, () => {
  for (const { what, round } of FLOODS) {
    test(`${what} end the connection`, async (t) => {
      // Where Node 20 gives a connection up without a word, answers that cannot leave keep it for so long.
      const { client, proxy } = await attack(t, undefined, { timeouts: { writeMs: 1_000 } })
      client.answersPings = true
      const before = memory()
      let index = 0
      for (; index < MAX_ROUNDS && !isOver(client); index++) {
        round(client, index)
        await client.drained()
        await turn()
      }
      await client.until('the end', () => client.ended)
      assert.ok(memory() - before < 64 * MIB, `${memory() - before} bytes more`)
      await serves(t, proxy)
    })
  }

  for (const [what, fields] of [
    ['too many fields', Array.from({ length: 200 }, (_, n) => [`x-${n}`, 'y'] as const)],
    [
      'too many bytes',
      [
        ['x-a', 'y'.repeat(16_000)],
        ['x-b', 'y'.repeat(50_000)],
      ] as const,
    ],
  ] as const) {
    test(`a head with ${what} is refused, and not passed on`, async (t) => {
      let requests = 0
      const { client } = await attack(t, () => {
        requests++
      })
      const block = h2.fields([...GET, ...fields])
      client.send(h2.HEADERS, h2.END_STREAM, 1, block.subarray(0, 16_000))
      for (let at = 16_000; at < block.length; at += 16_000) {
        const isLast = at + 16_000 >= block.length
        client.send(
          h2.CONTINUATION,
          isLast ? h2.END_HEADERS : 0,
          1,
          block.subarray(at, at + 16_000),
        )
      }
      if (block.length <= 16_000) client.send(h2.CONTINUATION, h2.END_HEADERS, 1)
      await client.until(
        'a reset or the end',
        () => isOver(client) || client.resetOf(1) !== undefined,
      )
      if (!isOver(client)) assert.equal(client.resetOf(1), H2_ERROR.ENHANCE_YOUR_CALM)
      assert.equal(requests, 0)
    })
  }

  test('requests that are broken off now and then cost nothing', async (t) => {
    const { client } = await attack(t, undefined, { http2: { resetBurst: 20 } })
    for (let n = 0; n < 20; n++) {
      client.request(1 + 2 * n)
      client.send(h2.RST_STREAM, 0, 1 + 2 * n, h2.words(H2_ERROR.CANCEL))
      await client.roundTrip()
    }
    assert.equal(isOver(client), false)
  })

  test('pings between requests cost nothing', async (t) => {
    const { client } = await attack(t)
    for (let n = 0; n < 4; n++) {
      for (let ping = 0; ping < 400; ping++) client.send(h2.PING, 0, 0, new Uint8Array(8))
      client.request(1 + 2 * n)
      await client.until('an answer', () => client.isEnded(1 + 2 * n))
    }
    assert.equal(isOver(client), false)
  })

  test('a client that takes no answers to its pings fills no queue', async (t) => {
    const { client, proxy } = await attack(t)
    client.pause()
    const before = memory()
    const pings = Buffer.concat(
      Array.from({ length: 1_000 }, () => h2.frame(h2.PING, 0, 0, new Uint8Array(8))),
    )
    for (let n = 0; n < 200; n++) {
      if (!client.write(pings)) await Promise.race([client.drained(), turn()])
    }
    client.resume()
    await client.until('the end', () => isOver(client))
    assert.ok(memory() - before < 64 * MIB)
    await serves(t, proxy)
  })
})

/** A proxy, and a client of it. */
async function attack(
  t: TestContext,
  onRequest: () => void = () => undefined,
  options: StartProxyOptions = {},
): Promise<{ client: FrameClient; proxy: RunningProxy }> {
  const backend = await startBackend(t, (_sent, answer) => {
    onRequest()
    answer.end('OK')
  })
  const proxy = await startProxy(Number(backend.address.split(':')[1]), {
    listener: { h2c: true },
    ...options,
  })
  const client = await FrameClient.connect(proxy.port)
  t.after(() => {
    client.destroy()
    proxy.destroy()
  })
  return { client, proxy }
}

/** Others are served as before. */
async function serves(t: TestContext, { port }: RunningProxy): Promise<void> {
  const other = await FrameClient.connect(port)
  t.after(() => {
    other.destroy()
  })
  other.request(1)
  await other.until('an answer', () => other.isEnded(1))
  assert.equal(String(other.body(1)), 'OK')
}

/** Whether the connection has been given up. */
function isOver(client: FrameClient): boolean {
  return client.ended || client.goawayCode !== undefined
}

function memory(): number {
  return process.memoryUsage.rss()
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
