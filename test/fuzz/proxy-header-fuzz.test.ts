/** Random PROXY headers, and broken ones: never a crash, and the same result wherever reads are cut. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProxyError } from '../../src/error/index.js'
import {
  MAX_PROXY_HEADER_BYTES,
  ProxyHeaderReader,
  TLV,
  writeProxyHeader,
} from '../../src/protocols/index.js'
import type { ProxyAddress, ProxyHeader, Tlv } from '../../src/protocols/index.js'
import { cutAt } from '../helpers/splits.js'
import { Random } from './random.js'

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const CASES = 20_000
/** What requests and other protocols begin with, to be glued to headers. */
const TAILS = [
  '',
  'GET / HTTP/1.1\r\n\r\n',
  '\x16\x03\x01\x02\x00',
  'PROXY UNKNOWN\r\n',
  '\0'.repeat(300),
]

interface Outcome {
  readonly header: ProxyHeader | null
  readonly error: string
  readonly taken: number
}

describe('PROXY header fuzz', () => {
  test(`${CASES} headers are read alike wherever they are cut (SEED=${SEED})`, () => {
    const random = new Random(SEED)
    const seen = { accepted: 0, refused: 0, unfinished: 0 }
    for (let index = 0; index < CASES; index++) {
      const input = mutated(random, Buffer.concat([header(random), tail(random)]))
      const whole = read([input])
      const places = Array.from({ length: random.below(6) }, () => random.below(input.length + 1))
      const cut = read(cutAt(input, places))
      const context = `case ${index}, SEED=${SEED}: ${input.toString('hex').slice(0, 400)}`
      assert.deepEqual(cut.header, whole.header, context)
      assert.equal(cut.error, whole.error, context)
      if (whole.header !== null) assert.equal(cut.taken, whole.taken, context)
      assert.ok(whole.taken <= MAX_PROXY_HEADER_BYTES, context)
      if (whole.header !== null) seen.accepted++
      else if (whole.error !== '') seen.refused++
      else seen.unfinished++
    }
    // A run that meets only one kind has tested little.
    for (const [kind, count] of Object.entries(seen))
      assert.ok(count > CASES / 50, `${kind}: ${count}`)
  })
})

function read(pieces: readonly Buffer[]): Outcome {
  const reader = new ProxyHeaderReader()
  let taken = 0
  try {
    for (const piece of pieces) {
      const found = reader.read(piece, 0, piece.length)
      taken += reader.next
      if (found !== null) return { header: found, error: '', taken }
    }
    return { header: null, error: '', taken }
  } catch (thrown) {
    // Anything else is a bug.
    assert.ok(thrown instanceof ProxyError, String(thrown))
    assert.equal(thrown.code, 'PGR_PROXY_HEADER_INVALID')
    return { header: null, error: thrown.message, taken }
  }
}

function header(random: Random): Buffer {
  const version = random.pick([1, 2] as const)
  const family = random.below(3)
  const tlvs = version === 1 ? [] : Array.from({ length: random.small(6) }, () => tlv(random))
  return writeProxyHeader(
    {
      version,
      command: random.oneIn(8) ? 'local' : 'proxy',
      transport: random.oneIn(4) ? 'datagram' : 'stream',
      source: random.oneIn(8) ? null : end(random, family),
      destination: end(random, family),
      tlvs,
    },
    { checksum: random.oneIn(3) },
  )
}

function end(random: Random, family: number): ProxyAddress {
  const port = random.below(65_536)
  const part = (): number => random.below(256)
  if (family === 0) return { kind: 'ip', host: `${part()}.${part()}.${part()}.${part()}`, port }
  if (family === 1) return { kind: 'ip', host: `2001:db8::${part().toString(16)}`, port }
  return { kind: 'unix', path: `/run/${'x'.repeat(random.below(100))}` }
}

function tlv(random: Random): Tlv {
  const type = random.oneIn(2) ? random.pick(Object.values(TLV)) : random.below(256)
  const value = Buffer.from(Array.from({ length: random.small(200) }, () => random.below(256)))
  return { type, value }
}

function tail(random: Random): Buffer {
  return Buffer.from(random.pick(TAILS), 'latin1')
}

/** Bytes changed, cut off, put in or doubled; often nothing at all. */
function mutated(random: Random, input: Buffer): Buffer {
  let bytes = input
  for (let left = random.small(4); left > 0; left--) {
    const at = random.below(bytes.length + 1)
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
    const byte = Buffer.of(random.below(256))
    bytes = random.pick([
      () => before,
      () => Buffer.concat([before, byte, after]),
      () => Buffer.concat([before, byte, after.subarray(1)]),
      () => Buffer.concat([before, after.subarray(1 + random.small(8))]),
      () => Buffer.concat([before, before, after]),
    ])()
  }
  return bytes
}
