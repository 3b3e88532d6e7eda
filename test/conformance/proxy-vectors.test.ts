/** The vectors through a whole proxy, judged at the client and at the upstream. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { reply } from '../../src/testing/index.js'
import type { Answer, LinkSplit, TestPeer, UpstreamRequest } from '../../src/testing/index.js'
import type { RawResponse } from '../helpers/raw-client.js'
import type { RecordedRequest } from '../helpers/recording-backend.js'
import { testProxy } from '../helpers/test-world.js'
import { judgeRequest, judgeResponse } from './judge.js'
import type { Observed } from './judge.js'
import { loadVectors } from './vectors.js'

const VECTORS = loadVectors()
const PROBE = '/probe'

for (const split of ['whole', 'random'] as const) {
  const pieces = split === 'whole' ? 'in one piece' : 'in small pieces'

  describe(`request vectors through the proxy, ${pieces}`, () => {
    for (const vector of VECTORS.request) {
      test(`${vector.id}: ${vector.note}`, async (t) => {
        const observed = await observe(t, split, 'GET', vector.text, echo)
        assert.deepEqual(judgeRequest(vector, observed), [])
      })
    }
  })

  describe(`response vectors through the proxy, ${pieces}`, () => {
    for (const vector of VECTORS.response) {
      test(`${vector.id}: ${vector.note}`, async (t) => {
        const { method = 'GET', text } = vector
        const request = `${method} /r HTTP/1.1\r\nHost: h.test\r\n\r\n`
        const answer: Answer = reply.raw(text).followedBy(reply.close())
        const observed = await observe(t, split, method, request, (asked) =>
          asked.target === PROBE ? echo(asked) : answer,
        )
        assert.deepEqual(judgeResponse(vector, observed), [])
      })
    }
  })
}

/** Every refusal that a client sees is the proxy's own: this refuses nothing. */
function echo({ body }: UpstreamRequest): Answer {
  return reply(200, body.length === 0 ? 'OK' : body)
}

/** Sends bytes to a proxy, and says what follows from them by itself. */
async function observe(
  t: TestContext,
  split: LinkSplit,
  method: string,
  bytes: string,
  answer: (request: UpstreamRequest) => Answer,
): Promise<Observed> {
  const { world, proxy, upstream } = await testProxy(t, { world: { link: { split } } })
  upstream.answer(answer)
  const { peer: client } = await proxy.client()
  client.send(bytes)
  await world.idle()
  const upstreamRequests = upstream.requests.map(recorded)
  const observed: Observed = {
    responses: responsesTo(client, method),
    clientText: client.text,
    closed: client.state !== 'open',
    upstream: upstreamRequests,
  }
  // Whatever came before, a clean request on a connection of its own gets its own answer.
  const { status, text } = await proxy.get(PROBE)
  assert.deepEqual([status, text], [200, 'OK'])
  return observed
}

/** The complete final responses that came. */
function responsesTo(client: TestPeer, method: string): RawResponse[] {
  const responses: RawResponse[] = []
  for (;;) {
    const message = client.nextMessage(responses.length === 0 ? method : 'GET')
    if (message?.complete !== true) return responses
    const { status, headers, text } = message
    const fields = headers.entries.map(([name, value]) => [name.toLowerCase(), value] as const)
    if (status >= 200) responses.push({ status, fields, body: text })
  }
}

function recorded({ raw, method, target, text }: UpstreamRequest): RecordedRequest {
  return { raw: raw.toString('latin1'), method, path: target, body: text, partial: false }
}
