/** The vectors against the codec alone: refused, waiting or accepted, whole and in every split. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readCanonicalRequest } from '../helpers/canonical-request.js'
import { decodeRequests, decodeResponses } from '../helpers/decode-stream.js'
import type { Decoded } from '../helpers/decode-stream.js'
import { serializeRequest } from '../helpers/serialize.js'
import { bytes, cutEvery, forEachSplit } from '../helpers/splits.js'
import type { RequestHead, ResponseHead } from '../../src/protocols/h1/index.js'
import { loadVectors } from './vectors.js'
import type { RequestVector, ResponseVector } from './vectors.js'

const VECTORS = loadVectors()

describe('request vectors at the codec', () => {
  for (const vector of VECTORS.request) {
    test(`${vector.id}: ${vector.note}`, () => {
      const input = bytes(vector.text)
      const whole = decodeRequests([input])
      judgeRequest(vector, whole)
      eachSplit(input, (pieces, how) => {
        assert.deepEqual(outcome(decodeRequests(pieces)), outcome(whole), how)
      })
    })
  }
})

describe('response vectors at the codec', () => {
  for (const vector of VECTORS.response) {
    test(`${vector.id}: ${vector.note}`, () => {
      const input = bytes(vector.text)
      const methods = [vector.method ?? 'GET']
      const whole = decodeResponses([input], methods, { ended: true })
      judgeResponse(vector, whole)
      eachSplit(input, (pieces, how) => {
        const decoded = decodeResponses(pieces, methods, { ended: true })
        assert.deepEqual(outcome(decoded), outcome(whole), how)
      })
    })
  }
})

function judgeRequest(vector: RequestVector, decoded: Decoded<RequestHead>): void {
  const { messages, error, status, headBegun, partialBody } = decoded
  const accepted = error === null && messages.length > 0
  for (const message of messages) {
    const { faults, body } = readCanonicalRequest(serializeRequest(message))
    assert.deepEqual(faults, [], 'what goes to the upstream is canonical')
    assert.equal(body, message.body)
  }
  if (vector.forbid !== undefined || vector.smuggle === true) {
    const hidden = vector.forbid ?? '/smuggled'
    assert.ok(!messages.some(({ head }) => head.header.target === hidden), 'nothing is smuggled')
  }
  switch (vector.cls) {
    case 'wait':
      assert.ok(!accepted && error === null && (headBegun || partialBody !== null))
      return
    case 'accept':
      if (!accepted) assert.ok(vector.status?.includes(status) === true, `refused with ${error}`)
      else if (vector.body !== undefined) assert.equal(messages[0]!.body, vector.body)
      if (vector.responses !== undefined) assert.equal(messages.length, vector.responses)
      return
    case 'limit':
      assert.ok(accepted || vector.status?.includes(status) === true)
      return
    case 'reject':
      assert.ok(error !== null && messages.length === 0)
      if (vector.status !== undefined) assert.ok(vector.status.includes(status))
      return
    case 'strict':
    case 'accept-close':
      // Our policy is to refuse wherever parsers are known to disagree.
      assert.equal(error === null, MILD.has(vector.id))
  }
}

/** Of the vectors that may be accepted in a cleaned-up form, those that we do accept. */
const MILD: ReadonlySet<string> = new Set([
  'rl-target-nonascii', // Passed on byte by byte.
  'te-encoded', // The escape makes it another field, which means nothing.
  'te-conn-nominated', // Framing fields stay, whoever names them.
  'cl-conn-nominated',
  'ck-bare-semicolon', // Extensions are dropped, so nobody sees it.
])

function judgeResponse(vector: ResponseVector, decoded: Decoded<ResponseHead>): void {
  const final = decoded.messages.find(({ head }) => !head.header.isInterim)
  switch (vector.cls) {
    case 'accept':
      assert.equal(decoded.error, null)
      assert.ok(final !== undefined)
      assert.equal(final.head.header.status, vector.status ?? 200)
      assert.equal(final.body, vector.body)
      if (vector.clientMissing !== undefined) {
        assert.equal(final.head.header.headers.has(vector.clientMissing), false)
      }
      return
    case 'truncated':
      assert.equal(decoded.error, 'PGR_RESPONSE_BODY_INCOMPLETE')
      return
    case 'reject':
    case 'either':
      if (vector.id === 'r-empty') assert.equal(final, undefined)
      else assert.ok(decoded.error?.startsWith('PGR_RESPONSE_') === true && final === undefined)
  }
}

/** Long inputs are cut at fewer places: they are long in one part only. */
function eachSplit(input: Buffer, run: (pieces: readonly Buffer[], how: string) => void): void {
  if (input.length <= 2_000) {
    forEachSplit(input, run)
    return
  }
  for (const size of [1, 13, 1_000, 16_384, 65_536]) run(cutEvery(input, size), `reads of ${size}`)
}

/** A message with two faults may be refused for either of them, depending on what is seen first. */
function outcome<Head>(decoded: Decoded<Head>): unknown {
  return { ...decoded, error: decoded.error !== null, status: 0 }
}
