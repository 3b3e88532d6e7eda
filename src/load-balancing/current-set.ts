/** `CurrentSet`: the set of backends that all threads use at this moment. */
import { Snapshot } from '../shared-memory/internal.js'
import type { Shareable, SharedRegistry } from '../shared-memory/internal.js'
import type { Backend } from './backend.js'
import { BackendSet } from './backend-set.js'
import { HealthMemory } from './health-memory.js'
import { MAX_SET_BYTES, decodeSet, encodeSet } from './set-codec.js'

/** Whether traffic is allowed, by {@link Backend.key}. */
export type Enablement = ReadonlyMap<string, boolean>

/**
 * The main thread replaces the set; a worker that shares it follows, by one atomic read at each
 * use. As health and enablement lie at fixed places in memory that all threads have, a set that is
 * published needs to say only where: so none of them ever sees half an update.
 */
export class CurrentSet implements Shareable {
  readonly #memory = new HealthMemory()
  #set: BackendSet = new BackendSet([], this.#memory)
  /** What the threads get the set by, once there are several. */
  #snapshot: Snapshot | null = null
  #follows = false
  #version = 0

  /** Arguments as in {@link SharedRegistry.enlist}. */
  constructor(registry: SharedRegistry, name: string | undefined) {
    registry.enlist('backends', this, name)
  }

  /** Whether the main thread decides what the set is, and this one only uses it. */
  get follows(): boolean {
    return this.#follows
  }

  /** The latest set. */
  get value(): BackendSet {
    if (this.#follows) this.#follow()
    return this.#set
  }

  /**
   * Puts these backends in the place of the set. Those that it has already keep their state.
   * @param onChange called with the new set before it is in use, when the two differ. If it throws,
   * nothing changes.
   * @returns whether they differ.
   */
  replace(
    backends: Iterable<Backend>,
    enablement: Enablement,
    onChange?: (next: BackendSet) => void,
  ): boolean {
    const before = this.#set
    const next = new BackendSet(
      backends,
      this.#memory,
      (backend) => before.placeOf(backend) ?? this.#memory.allot(),
    )
    const changed = !next.equals(before)
    if (changed) this.#swap(next, enablement, onChange)
    applyEnablement(this.#set, enablement, (_key, enabled) => enabled)
    applyEnablement(this.#set, enablement, (_key, enabled) => !enabled)
    return changed
  }

  #swap(
    next: BackendSet,
    enablement: Enablement,
    onChange: ((next: BackendSet) => void) | undefined,
  ): void {
    const before = this.#set
    let encoded: Uint8Array | null
    try {
      encoded = this.#snapshot && encodeSet(next)
      onChange?.(next)
    } catch (error) {
      this.#release(next, before)
      throw error
    }
    // Those that stay are enabled before the swap and disabled after it: whichever set another
    // thread still uses, there is a backend that it may pick if both states have one.
    applyEnablement(next, enablement, (key, enabled) => enabled || before.indexOfKey(key) < 0)
    if (encoded) this.#snapshot?.publish(encoded)
    this.#set = next
    this.#release(before, next)
  }

  /** Releases the places of those that are in one set and not in the other. */
  #release(from: BackendSet, other: BackendSet): void {
    for (const [index, backend] of from.backends.entries()) {
      if (other.indexOf(backend) < 0) this.#memory.release(from.health.place(index))
    }
  }

  /** Called by the registry. */
  share(registry: SharedRegistry, name: string): void {
    this.#snapshot = new Snapshot(registry, 'backend-set', { maxBytes: MAX_SET_BYTES, name })
    if (registry.workerIndex === 0) {
      this.#memory.moveTo(registry, name)
      this.#snapshot.publish(encodeSet(this.#set))
    } else {
      this.#memory.attachTo(registry, name)
      this.#follows = true
    }
  }

  #follow(): void {
    if (this.#snapshot?.version === this.#version) return
    const copy = this.#snapshot?.read()
    if (copy === undefined) return
    this.#set = decodeSet(copy.bytes, this.#memory)
    this.#version = copy.version
  }
}

function applyEnablement(
  set: BackendSet,
  enablement: Enablement,
  applies: (key: string, enabled: boolean) => boolean,
): void {
  for (const [key, enabled] of enablement) {
    const index = set.indexOfKey(key)
    if (index >= 0 && applies(key, enabled)) set.health.setEnabled(index, enabled)
  }
}
