import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../../time/index.js'
import { MemoryTestWorld, LISTENING } from '../../../test/helpers/memory-world.js'
import type { ConnectionHandler } from '../connection.js'
import type { LinkOptions } from './link-options.js'
import type { MemoryConnection } from './memory-connection.js'
import { MemoryNetwork } from './memory-network.js'

const ADDRESS = '10.0.0.1:80'

type Step =
  | { readonly kind: 'write'; readonly bytes: number; readonly asText: boolean }
  | { readonly kind: 'cork' | 'uncork' | 'pause' | 'resume' }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'partition' | 'heal' }

const WAYS = ['there', 'back'] as const

describe('bytes over a memory network', () => {
  test('arrive once and in order, whatever the link and whoever pauses', async () => {
    const size = fc.oneof(fc.nat(5), fc.nat(300), fc.nat(20_000))
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 4, arbitrary: writeStep(size) },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constantFrom('cork', 'uncork', 'pause', 'resume') }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass'), ms: fc.nat(50) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('partition', 'heal') }) },
    )
    const script = fc.array(fc.tuple(fc.constantFrom(...WAYS), step), { maxLength: 60 })
    const holds = fc.asyncProperty(linkOptions(), script, fc.nat(), async (link, steps, seed) => {
      const run = await Run.start(link, seed)
      for (const [way, one] of steps) run.step(way, one)
      run.finish()
    })
    await fc.assert(holds, { numRuns: 300 })
  })

  test('wake a writer when a third of the pipe is free, not for every byte', async () => {
    const world = new MemoryTestWorld({ link: { bufferBytes: 300, split: [10] } })
    const { dialled, accepted } = await world.connect()
    const moved: number[] = []
    let last = dialled.pendingBytes
    accepted.handler = {
      ...DEAF,
      onData: () => {
        if (dialled.pendingBytes < last) moved.push(last - dialled.pendingBytes)
        last = dialled.pendingBytes
      },
    }
    dialled.write(Buffer.alloc(1_000))
    last = dialled.pendingBytes
    accepted.resume()
    await world.now()
    assert.equal(accepted.bytesRead, 1_000)
    assert.ok(moved.every((bytes) => bytes >= 100 || bytes === 700 % 100))
  })
})

function writeStep(size: fc.Arbitrary<number>): fc.Arbitrary<Step> {
  return fc.record({ kind: fc.constant('write'), bytes: size, asText: fc.boolean() })
}

function linkOptions(): fc.Arbitrary<LinkOptions> {
  return fc.record({
    latencyMs: fc.constantFrom(0, 0, 1, 7.5),
    bytesPerSecond: fc.constantFrom(Infinity, Infinity, 1_000_000, 123_457),
    bufferBytes: fc.constantFrom(1, 100, 4_096, 65_536),
    split: fc.oneof(
      fc.constantFrom('whole' as const, 'random' as const),
      fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 4 }),
    ),
  })
}

/** One end that writes a known sequence and checks that it reads the other's. */
class Checker implements ConnectionHandler {
  readonly connection: MemoryConnection
  written = 0
  read = 0
  reading = true
  ended = false
  closes = 0
  /** Whether a write returned `false` and no drain has come since. */
  blocked = false

  constructor(connection: MemoryConnection) {
    this.connection = connection
    connection.handler = this
    connection.resume()
  }

  write(bytes: number, asText: boolean): void {
    const data = sequence(this.written, bytes)
    this.written += bytes
    const result = this.connection.write(asText ? data.toString('latin1') : data)
    if (!result) this.blocked = true
    assert.equal(result, !this.blocked)
    assert.equal(this.connection.bytesWritten, this.written)
  }

  onData(buffer: Buffer, length: number): void {
    assert.equal(this.reading && !this.ended && this.closes === 0, true)
    assert.ok(length > 0 && buffer.subarray(0, length).equals(sequence(this.read, length)))
    this.read += length
    assert.equal(this.connection.bytesRead, this.read)
  }

  onEnd(): void {
    assert.equal(this.reading && !this.ended && this.closes === 0, true)
    this.ended = true
  }

  onDrain(): void {
    assert.equal(this.blocked && this.closes === 0, true)
    this.blocked = false
  }

  onClose(error: Error | null): void {
    assert.equal(error, null)
    this.closes++
  }
}

/** Plays a script; after it everything heals and is read. */
class Run {
  readonly #clock: ManualClock
  readonly #network: MemoryNetwork
  readonly #ends: Readonly<Record<(typeof WAYS)[number], Checker>>

  private constructor(clock: ManualClock, network: MemoryNetwork, ends: [Checker, Checker]) {
    this.#clock = clock
    this.#network = network
    this.#ends = { there: ends[0], back: ends[1] }
  }

  static async start(link: LinkOptions, seed: number): Promise<Run> {
    const clock = new ManualClock()
    let state = 1 + (seed % 1_000_003)
    const next = (): number => (state = (state * 48_271) % 0x7fffffff) / 0x7fffffff
    const onUncaught = (error: unknown): never => {
      throw error as Error
    }
    const network = new MemoryNetwork({ clock, link, random: { next }, onUncaught })
    const ends: MemoryConnection[] = []
    await network.listen(LISTENING, {}, (connection) => ends.unshift(connection))
    const dial = network.dial(LISTENING, {})
    clock.advance(20)
    ends.unshift(await dial)
    return new Run(clock, network, [new Checker(ends[0]!), new Checker(ends[1]!)])
  }

  step(way: (typeof WAYS)[number], step: Step): void {
    const end = this.#ends[way]
    switch (step.kind) {
      case 'write':
        end.write(step.bytes, step.asText)
        break
      case 'pause':
      case 'resume':
        end.reading = step.kind === 'resume'
        end.connection[step.kind]()
        break
      case 'cork':
        end.connection.cork()
        break
      case 'uncork':
        if (!end.connection.uncork()) end.blocked = true
        break
      case 'pass':
        this.#clock.advance(step.ms)
        break
      default:
        this.#network[step.kind](ADDRESS)
    }
  }

  finish(): void {
    const { there, back } = this.#ends
    this.#network.heal(ADDRESS)
    for (const end of [there, back]) {
      this.step(end === there ? 'there' : 'back', { kind: 'resume' })
      if (!end.connection.uncork()) end.blocked = true
    }
    there.connection.end()
    this.#clock.advance(1e6)
    assert.deepEqual([back.read, back.ended, there.read], [there.written, true, back.written])
    for (const end of [there, back]) {
      assert.deepEqual([end.blocked, end.connection.pendingBytes, end.closes], [false, 0, 0])
    }
    back.connection.end()
    this.#clock.advance(1e6)
    assert.deepEqual([there.closes, back.closes, this.#network.open.size], [1, 1, 0])
  }
}

/** Bytes that differ from their neighbours however they are cut. */
function sequence(from: number, length: number): Buffer {
  const offset = from % PATTERN_PERIOD
  if (offset + length <= PATTERN.length)
    return Buffer.from(PATTERN.subarray(offset, offset + length))
  const bytes = Buffer.alloc(length)
  for (let index = 0; index < length; index++) bytes[index] = patternAt(from + index)
  return bytes
}

function patternAt(index: number): number {
  return ((index % PATTERN_PERIOD) * 31 + ((index % PATTERN_PERIOD) >> 8)) & 255
}

const PATTERN_PERIOD = 1 << 16
const PATTERN: Buffer = Buffer.alloc(2 * PATTERN_PERIOD)
for (let index = 0; index < PATTERN.length; index++) PATTERN[index] = patternAt(index)

const DEAF: ConnectionHandler = {
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onClose: () => {},
}
