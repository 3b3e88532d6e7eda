/** What must hold for any bytes whatever that reach the codec; throws where it does not. */
import assert from 'node:assert/strict'
import { ERROR_CODES } from '../../src/error/index.js'
import type { ErrorCode } from '../../src/error/index.js'
import { readCanonicalRequest } from '../helpers/canonical-request.js'
import { readByGrammar } from '../helpers/grammar.js'
import { hasNoBody } from '../../src/http/index.js'
import { decodeRequests, decodeResponses } from '../helpers/decode-stream.js'
import type { Decoded } from '../helpers/decode-stream.js'
import { serializeRequest, serializeResponse } from '../helpers/serialize.js'
import { bytes, cutAt, cutEvery } from '../helpers/splits.js'
import type { Random } from './random.js'

/** Gives `text` (one character per byte) to both directions of the codec. Returns what it met. */
export function checkCodecCase(text: string, random: Random): 'accepted' | 'refused' {
  const input = bytes(text)
  const reads = [randomCuts(input, random), cutEvery(input, 1 + random.small(40))]
  const hasRequest = checkRequests(text, reads)
  const hasResponse = checkResponses(text, reads, random)
  return hasRequest || hasResponse ? 'accepted' : 'refused'
}

function checkRequests(text: string, reads: readonly (readonly Buffer[])[]): boolean {
  const input = bytes(text)
  const whole = decodeRequests([input], { ended: true })
  checkSide(whole, 'downstream')
  for (const pieces of reads) {
    assert.deepEqual(outcome(decodeRequests(pieces, { ended: true })), outcome(whole))
  }
  let at = 0
  for (const message of whole.messages) {
    const allowed = readByGrammar(text, at, () => 'framed')
    assert.ok(allowed !== null, 'accepts only what the grammar allows')
    assert.equal(message.body, allowed.body)
    at = allowed.end
    const written = serializeRequest(message)
    const canonical = readCanonicalRequest(written)
    assert.deepEqual(canonical.faults, [])
    assert.equal(canonical.body, message.body)
    const again = decodeRequests([bytes(written)])
    if (again.error === 'PGR_HEADER_TOO_LARGE' && isNearLimits(message.fields, written)) continue
    assert.equal(again.error, null)
    assert.equal(again.messages.length, 1, 'one request stays one request')
    const { head, fields, body, trailers } = again.messages[0]!
    const { method, target, headers } = message.head.header
    assert.deepEqual([head.header.method, head.header.target], [method, target])
    assert.deepEqual({ body, trailers }, { body: message.body, trailers: message.trailers })
    if (headers.has('host')) assert.deepEqual(fields, message.fields)
  }
  return whole.messages.length > 0
}

function checkResponses(
  text: string,
  reads: readonly (readonly Buffer[])[],
  random: Random,
): boolean {
  const input = bytes(text)
  const methods = [random.pick(['GET', 'GET', 'HEAD', 'POST']), 'GET']
  const whole = decodeResponses([input], methods, { ended: true })
  checkSide(whole, 'upstream')
  for (const pieces of reads) {
    assert.deepEqual(outcome(decodeResponses(pieces, methods, { ended: true })), outcome(whole))
  }
  let at = 0
  let answered = 0
  for (const message of whole.messages) {
    const { header } = message.head
    const method = methods[answered]!
    const bodyOf = (): 'none' | 'framed' => (hasNoBody(method, header.status) ? 'none' : 'framed')
    const allowed = readByGrammar(text, at, bodyOf)
    assert.ok(allowed !== null, 'accepts only what the grammar allows')
    assert.equal(message.body, allowed.body)
    at = allowed.end
    if (header.isInterim) continue
    answered++
    const written = serializeResponse(message)
    const again = decodeResponses([bytes(written)], [method])
    if (again.error === 'PGR_RESPONSE_TOO_LARGE' && isNearLimits(message.fields, written)) continue
    assert.equal(again.error, null)
    assert.equal(again.messages.length, 1, 'one response stays one response')
    const { head, fields, body, trailers } = again.messages[0]!
    const { status, reason } = header
    assert.deepEqual([head.header.status, head.header.reason], [status, reason])
    assert.deepEqual(fields, message.fields)
    assert.deepEqual({ body, trailers }, { body: message.body, trailers: message.trailers })
  }
  return whole.messages.length > 0
}

/** A fault is told by a code of the side that made it. */
function checkSide(decoded: Decoded<unknown>, side: 'upstream' | 'downstream'): void {
  if (decoded.error === null) return
  assert.equal(ERROR_CODES[decoded.error as ErrorCode].source, side, decoded.error)
}

/** Of two faults in one message, the cut may decide which is seen first. */
function outcome(decoded: Decoded<unknown>): unknown {
  return { ...decoded, error: decoded.error !== null, status: 0 }
}

/** A field for the framing and blanks after colons may be one too many for the next reader. */
function isNearLimits(fields: readonly unknown[], written: string): boolean {
  return fields.length >= 127 || written.length > 65_536
}

function randomCuts(input: Buffer, random: Random): Buffer[] {
  const places = Array.from({ length: 1 + random.small(10) }, () => random.below(input.length + 1))
  return cutAt(input, places)
}
