/** What holds for all messages: cuts change nothing, writing and reading are inverse, no fault is fatal. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { loadVectors } from '../../../test/conformance/vectors.js'
import { readCanonicalRequest } from '../../../test/helpers/canonical-request.js'
import { decodeRequests, decodeResponses } from '../../../test/helpers/decode-stream.js'
import { cuts, requestMessage, responseMessage } from '../../../test/helpers/http-arbitraries.js'
import type { GeneratedMessage } from '../../../test/helpers/http-arbitraries.js'
import { serializeRequest, serializeResponse } from '../../../test/helpers/serialize.js'
import { bytes, cutAt } from '../../../test/helpers/splits.js'

// A failure prints the seed; SEED=… repeats it.
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const options = { seed, numRuns: 300 }

const contentOf = (message: GeneratedMessage): unknown => ({
  fields: message.fields,
  body: message.body,
  trailers: message.trailers,
})

describe(`codec properties (seed ${seed})`, () => {
  test('generated requests are read as what they are, however the reads are cut', () => {
    const messages = fc.array(requestMessage, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(messages, cuts, (list, places) => {
        const input = bytes(list.map(({ text }) => text).join(''))
        const decoded = decodeRequests(cutAt(input, places))
        assert.equal(decoded.error, null)
        assert.deepEqual([decoded.partialBody, decoded.headBegun], [null, false])
        assert.deepEqual(
          decoded.messages.map(({ head, fields, body, trailers }) => {
            const { method, target, version } = head.header
            return { start: `${method} ${target} HTTP/${version}`, fields, body, trailers }
          }),
          list.map((message) => ({ start: message.start, ...(contentOf(message) as object) })),
        )
      }),
      options,
    )
  })

  test('generated responses are read as what they are, however the reads are cut', () => {
    const messages = fc.array(responseMessage, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(messages, cuts, (list, places) => {
        const input = bytes(list.map(({ text }) => text).join(''))
        const methods = list.map(() => 'GET')
        const decoded = decodeResponses(cutAt(input, places), methods)
        assert.equal(decoded.error, null)
        assert.deepEqual(
          decoded.messages.map(({ head, fields, body, trailers }) => {
            const { status, reason } = head.header
            return { start: `HTTP/1.1 ${status} ${reason}`, fields, body, trailers }
          }),
          list.map((message) => ({ start: message.start, ...(contentOf(message) as object) })),
        )
      }),
      options,
    )
  })

  test('what was read and written again is canonical, and is read as the same', () => {
    fc.assert(
      fc.property(requestMessage, responseMessage, (request, response) => {
        const [read] = decodeRequests([bytes(request.text)]).messages
        const text = serializeRequest(read!)
        assert.deepEqual(readCanonicalRequest(text).faults, [])
        assert.deepEqual(decodeRequests([bytes(text)]).messages, [read])

        const [answer] = decodeResponses([bytes(response.text)]).messages
        const again = decodeResponses([bytes(serializeResponse(answer!))])
        assert.deepEqual(again.messages, [answer])
      }),
      options,
    )
  })

  test('mutated vectors end in an error of their side or in messages, the same for every cut', () => {
    const { request, response } = loadVectors()
    const short = [...request, ...response].filter(({ text }) => text.length < 2_000)
    const change = fc.record({
      at: fc.nat({ max: 2_000 }),
      removed: fc.nat({ max: 3 }),
      inserted: fc.constantFrom(
        '',
        '\r',
        '\n',
        '\r\n',
        '\0',
        ' ',
        '\t',
        ':',
        ',',
        ';',
        '0',
        'a',
        '\xff',
      ),
    })
    const changes = fc.array(change, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(fc.constantFrom(...short), changes, cuts, ({ text }, edits, places) => {
        let mutated = text
        for (const { at, removed, inserted } of edits) {
          const place = at % (mutated.length + 1)
          mutated = mutated.slice(0, place) + inserted + mutated.slice(place + removed)
        }
        const input = bytes(mutated)
        const pieces = cutAt(input, places)
        const requests = decodeRequests([input])
        assert.match(requests.error ?? 'PGR_REQUEST', DOWNSTREAM)
        assert.deepEqual(outcome(decodeRequests(pieces)), outcome(requests))
        const responses = decodeResponses([input], ['GET', 'HEAD'], { ended: true })
        assert.match(responses.error ?? 'PGR_RESPONSE', UPSTREAM)
        assert.deepEqual(
          outcome(decodeResponses(pieces, ['GET', 'HEAD'], { ended: true })),
          outcome(responses),
        )
      }),
      { ...options, numRuns: 2_000 },
    )
  })
})

const DOWNSTREAM =
  /^PGR_(REQUEST|TARGET_TOO_LONG|HEADER_TOO_LARGE|VERSION_UNSUPPORTED|CONNECT_NOT_ALLOWED)/
const UPSTREAM = /^PGR_RESPONSE/

/** Of two faults in one message, the cut may decide which is seen first. */
function outcome(decoded: { error: string | null; status: number }): unknown {
  return { ...decoded, error: decoded.error !== null, status: 0 }
}
