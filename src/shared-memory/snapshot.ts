/** `Snapshot`: the latest version of some bytes, from the main thread to all threads. */
import { ProxyError, intInRange } from '../error/index.js'
import { int32 } from './shape.js'
import type { Field, Views } from './shape.js'
import type { SharedRegistry } from './shared-registry.js'

/** What one snapshot is like; the same in every thread. */
export interface SnapshotOptions {
  /** Most bytes of one version, 1 to 2^28; unused ones cost no memory. */
  readonly maxBytes: number
  /** Tells it from others of its kind. Default: the order of construction does. */
  readonly name?: string | undefined
}

/** One version, whole, as a copy that belongs to whoever read it. */
export interface SnapshotCopy {
  /** The version that `bytes` are. */
  readonly version: number
  /** What was published. */
  readonly bytes: Uint8Array
}

/**
 * A sequence lock over two places: the main thread writes version `v` to place `v mod 2` and then
 * sets the version, so it never touches the place that the latest version is in. A reader copies
 * that place, and what it has copied is whole if the version is still the same: only the version
 * after the next is written there. No reader holds the writer up, and a writer that is interrupted
 * holds up no reader.
 *
 * All words go through `Atomics`: then the order of reads and writes is that of the program, on
 * every machine. It costs some nanoseconds a word, for what changes seldom.
 */
export class Snapshot {
  readonly #registry: SharedRegistry
  readonly #id: string
  readonly #maxBytes: number
  readonly #fields: Views<SnapshotShape>

  /** Kind and errors as in {@link SharedRegistry.region}. */
  constructor(registry: SharedRegistry, kind: string, { maxBytes, name }: SnapshotOptions) {
    this.#registry = registry
    this.#maxBytes = intInRange('maxBytes', maxBytes, 1, MAX_BYTES)
    const words = int32(Math.ceil(maxBytes / 4))
    const shape = { version: int32(1), lengths: int32(2), even: words, odd: words }
    const { id, fields } = registry.region<SnapshotShape>(kind, shape, name)
    this.#id = id
    this.#fields = fields
  }

  /**
   * The latest version, 0 before the first. One atomic read: compare it with that of the last copy
   * for equality, as it wraps around like any 32-bit integer.
   */
  get version(): number {
    return Atomics.load(this.#fields.version, 0)
  }

  /**
   * Makes `bytes`, which are copied, the latest version. Main thread only.
   * @returns its number.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when there are more than `maxBytes`; then the
   * version before stays.
   */
  publish(bytes: Uint8Array): number {
    if (this.#registry.workerIndex !== 0) {
      throw new ProxyError('PGR_INTERNAL', `${this.#id}: only the main thread publishes`)
    }
    if (bytes.length > this.#maxBytes) {
      const text = `${this.#id}: at most ${this.#maxBytes} bytes, got ${bytes.length}`
      throw new ProxyError('PGR_OPTION_INVALID', text)
    }
    const version = (this.version + 1) | 0
    const place = this.#place(version)
    const words = new Int32Array(Math.ceil(bytes.length / 4))
    new Uint8Array(words.buffer).set(bytes)
    for (let i = 0; i < words.length; i++) Atomics.store(place, i, words[i]!)
    Atomics.store(this.#fields.lengths, version & 1, bytes.length)
    return Atomics.store(this.#fields.version, 0, version)
  }

  /**
   * A copy of the latest version.
   * @returns `undefined` before the first version, and when new ones came during each of 8 tries:
   * then keep the copy you have until the next time.
   */
  read(): SnapshotCopy | undefined {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const version = this.version
      if (version === 0) return undefined
      const bytes = this.#copy(version)
      if (this.version === version) return { version, bytes }
    }
    return undefined
  }

  #copy(version: number): Uint8Array {
    const place = this.#place(version)
    const length = Atomics.load(this.#fields.lengths, version & 1)
    const words = new Int32Array(Math.ceil(length / 4))
    for (let i = 0; i < words.length; i++) words[i] = Atomics.load(place, i)
    return new Uint8Array(words.buffer, 0, length)
  }

  #place(version: number): Int32Array {
    return (version & 1) === 0 ? this.#fields.even : this.#fields.odd
  }
}

type SnapshotShape = Readonly<Record<'version' | 'lengths' | 'even' | 'odd', Field<'int32'>>>

/** Two places of this size are well below the limit of a region. */
const MAX_BYTES: number = 2 ** 28

/** A copy takes less time than making a version: to lose so often in a row takes bad luck. */
const MAX_TRIES = 8
