/** `HealthMemory`: where the state of backends is kept, over all sets and all threads. */
import { int32 } from '../shared-memory/internal.js'
import type { SharedRegistry, Views } from '../shared-memory/internal.js'

/** The backend's checks say that it works. */
export const HEALTHY = 1
/** Traffic to the backend is allowed. */
export const ENABLED = 2
/** All flags that a backend must have to be picked. */
export const READY: number = HEALTHY | ENABLED

/** Where the state of one backend is, as long as it is in the set of backends. */
export interface HealthPlace {
  /** Index of its word of flags. */
  readonly slot: number
  /**
   * What the word consists of besides the flags: different for each backend that has had the slot.
   * A thread that still goes by an old set sees by it that the slot is another backend's now, and
   * takes the one it knew for gone.
   */
  readonly tag: number
}

/**
 * A table of flags that any thread may change, each word by compare and exchange. Only the thread
 * that owns the set of backends gives out places. Slots that were released are used again at once:
 * the tag, which comes again only after 2^30 uses of a slot, tells old from new.
 */
export class HealthMemory {
  #fields: Views<HealthShape> = privateFields(FIRST_SLOTS)
  #version: Int32Array = this.#fields.version
  #isShared = false
  readonly #free: number[] = []
  #used = 0

  /** A number that differs from an earlier one when some flag may have changed. */
  get version(): number {
    // Every pick looks at it, and takes much longer with an atomic read.
    return this.#isShared ? Atomics.load(this.#version, 0) : this.#version[0]!
  }

  /** The words of flags, by slot. Not to be kept: the table grows, and moves when it is shared. */
  get flags(): Int32Array {
    return this.#fields.flags
  }

  /** By slot: how many results in a row said the opposite of the flag. */
  get streaks(): Int32Array {
    return this.#fields.streaks
  }

  /** Says that some flag has changed; to be called after the change. */
  changed(): void {
    Atomics.add(this.#fields.version, 0, 1)
  }

  /** A place for a new backend, healthy and enabled. There are enough for two sets of any size. */
  allot(): HealthPlace {
    const slot = this.#free.pop() ?? this.#nextUnused()
    const { flags, streaks } = this.#fields
    // The flags take two bits; the others count the uses of the slot.
    const tag = ((flags[slot]! & ~READY) + READY + 1) | 0
    streaks[slot] = 0
    Atomics.store(flags, slot, tag | READY)
    return { slot, tag }
  }

  /** Gives a place back. Its flags stay until it is allotted again. */
  release({ slot }: HealthPlace): void {
    this.#free.push(slot)
  }

  /** Goes over to shared memory, with all flags as they are. Main thread. */
  moveTo(registry: SharedRegistry, name: string): void {
    const before = this.#fields
    this.attachTo(registry, name)
    this.#copy(before)
  }

  /** Goes over to the memory of the main thread. Workers. */
  attachTo(registry: SharedRegistry, name: string): void {
    this.#use(registry.region('backend-health', SHARED_SHAPE, name).fields)
    this.#isShared = true
  }

  #nextUnused(): number {
    const { flags } = this.#fields
    if (this.#used === flags.length) this.#grow()
    return this.#used++
  }

  #grow(): void {
    const before = this.#fields
    this.#use(privateFields(before.flags.length * 2))
    this.#copy(before)
  }

  #use(fields: Views<HealthShape>): void {
    this.#fields = fields
    this.#version = fields.version
  }

  #copy({ version, flags, streaks }: Views<HealthShape>): void {
    this.#fields.version.set(version)
    this.#fields.flags.set(flags)
    this.#fields.streaks.set(streaks)
  }
}

function privateFields(slots: number): Views<HealthShape> {
  return {
    version: new Int32Array(1),
    flags: new Int32Array(slots),
    streaks: new Int32Array(slots),
  }
}

/** Private memory grows from here by doubling. */
const FIRST_SLOTS = 16
/** A set has at most 65,535 backends, and an update needs places for the old and the new one. */
const MAX_SLOTS: number = 2 ** 17
const SHARED_SHAPE = {
  version: int32(1),
  flags: int32(MAX_SLOTS),
  streaks: int32(MAX_SLOTS),
} as const
type HealthShape = typeof SHARED_SHAPE
