/** `SharedRegistry`: one thread's view of the memory that all threads of the process share. */
import { ProxyError, intInRange } from '../error/index.js'
import { ADVICE, Enlistments, isShared } from './enlistments.js'
import type { EnlistmentsDescription } from './enlistments.js'
import { allocate, describeShape, viewsOf } from './shape.js'
import type { Shape, Views } from './shape.js'

/** Memory that every thread reads and writes. */
export interface Region<S extends Shape> {
  /** What it is called in messages: its kind with its name, or with its order of construction. */
  readonly id: string
  /** Its arrays. */
  readonly fields: Views<S>
}

/** Memory that every thread has a row of: each writes only its own, so that none waits. */
export interface PerThreadRegion<S extends Shape> {
  /** As in {@link Region}. */
  readonly id: string
  /** The row of this thread, the only one that it may write. */
  readonly own: Views<S>
  /**
   * The rows of all threads, that of the main thread first. In the main thread the rows of the
   * workers come with the first {@link SharedRegistry.export}: keep the list, not a copy.
   */
  readonly rows: readonly Views<S>[]
}

/**
 * Who has what of a region: all threads the same memory, or each a row, which is zeroed when its
 * worker ends or kept. A kept row goes to the worker that is started in its place.
 */
export type Sharing = 'common' | 'per thread, zeroed' | 'per thread, kept'

/** One region, as one thread describes it to another. */
export interface RegionDescription {
  /** As in {@link Region}. */
  readonly id: string
  /** What it is for, such as `round-robin`. */
  readonly kind: string
  /** Its arrays. */
  readonly shape: Shape
  /** Who has what of it. */
  readonly sharing: Sharing
  /** The memory: one for all, or one for each thread. */
  readonly memory: readonly SharedArrayBuffer[]
}

/** All that a worker needs to share the memory; it survives `workerData` and `postMessage`. */
export interface SharedMemoryDescription {
  /** Threads besides the main one. */
  readonly workers: number
  /** Every region that the main thread has made. */
  readonly regions: readonly RegionDescription[]
  /** The objects that it had enlisted when the first worker was to be started. */
  readonly enlisted: EnlistmentsDescription
}

/** An object that can go over from memory of its own to memory that all threads share. */
export interface Shareable {
  /**
   * Called by the registry, at most once. In the main thread it makes regions under `name` and moves
   * its state there, in a worker it finds them.
   */
  share(registry: SharedRegistry, name: string): void
}

/**
 * Every thread runs the same program and so makes the same objects in the same order. That is what
 * identifies their memory: an explicit name, or else how many unnamed ones of the same kind were
 * made before. The main thread makes regions, workers find them; a region lives as long as the
 * process and never changes its size, so nothing about it can be seen half changed.
 */
export class SharedRegistry {
  readonly #regions = new Map<string, KnownRegion>()
  readonly #claimed = new Set<string>()
  readonly #unnamedOfKind = new Map<string, number>()
  readonly #enlistments = new Enlistments<Shareable>()
  /** What the main thread had enlisted; in the main thread from the first `export` on. */
  #enlisted: EnlistmentsDescription | undefined
  #sealed = false
  #workerIndex = 0
  #workers: number | undefined

  /**
   * The registry of a worker, over the memory of the main thread.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when there is no worker with that index.
   */
  static import(
    description: SharedMemoryDescription,
    { workerIndex }: { readonly workerIndex: number },
  ): SharedRegistry {
    const registry = new SharedRegistry()
    registry.#workers = description.workers
    registry.#enlisted = description.enlisted
    registry.#workerIndex = intInRange('workerIndex', workerIndex, 1, description.workers)
    for (const { memory, ...region } of description.regions) {
      const rows = memory.map((each) => viewsOf(region.shape, each))
      registry.#regions.set(region.id, { ...region, memory: [...memory], rows })
    }
    return registry
  }

  /** 0 in the main thread, from 1 in the workers. */
  get workerIndex(): number {
    return this.#workerIndex
  }

  /**
   * Memory that all threads have in common.
   * @param kind what it is for, such as `round-robin`.
   * @param name tells it from others of the kind; without one the order of construction does.
   * @throws {@link ProxyError} `PGR_SHARED_MEMORY_MISMATCH` in a worker when the main thread made no
   * such region, or another shape; `PGR_OPTION_INVALID` when the name is taken or empty.
   */
  region<S extends Shape>(kind: string, shape: S, name?: string): Region<S> {
    const { id, rows } = this.#claim({ kind, shape, sharing: 'common' }, name)
    return { id, fields: rows[0] as Views<S> }
  }

  /** Memory of which every thread has its own row. Arguments and errors as in {@link region}. */
  regionPerThread<S extends Shape>(
    kind: string,
    shape: S,
    sharing: Exclude<Sharing, 'common'>,
    name?: string,
  ): PerThreadRegion<S> {
    const region = this.#claim({ kind, shape, sharing }, name)
    const rows = region.rows as Views<S>[]
    return { id: region.id, own: rows[this.#workerIndex]!, rows }
  }

  /**
   * For objects that a program may make and drop again as long as it runs. Such an object has memory
   * of its own, which is garbage when it is. Those that there are when the main thread first
   * exports are then shared; a worker's are so at once. They are identified by kind, name and the
   * order of construction among those alike. What is made later is for its thread alone, see
   * {@link seal}.
   * @throws {@link ProxyError} `PGR_SHARED_MEMORY_MISMATCH` in a worker when the main thread had made
   * no such object.
   */
  enlist(kind: string, object: Shareable, name?: string): void {
    const enlistment = this.#sealed ? undefined : this.#enlistments.count(kind, name)
    if (enlistment === undefined) return
    if (this.#enlisted === undefined) this.#enlistments.add(enlistment, object)
    else if (isShared(this.#enlisted, enlistment, this.#workerIndex)) {
      object.share(this, enlistment.name)
    }
  }

  /**
   * The program is made: objects that are enlisted from now on are for this thread alone. In the
   * main thread {@link export} does it; call it in a worker before it serves.
   */
  seal(): void {
    this.#sealed = true
  }

  /**
   * Describes all regions for the workers. The first call fixes how many there are, because
   * everybody must know all rows from the start, and has what was enlisted shared.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when a later call gives another number.
   */
  export(workers: number): SharedMemoryDescription {
    const expected = this.#workers ?? intInRange('workers', workers, 1, MAX_WORKERS)
    if (workers !== expected) {
      const text = `workers: the shared memory is laid out for ${expected}, got ${workers}`
      throw new ProxyError('PGR_OPTION_INVALID', text)
    }
    this.#workers = workers
    this.seal()
    this.#enlisted ??= this.#enlistments.shareAll((object, name) => {
      object.share(this, name)
    })
    const regions = [...this.#regions.values()]
    for (const region of regions) addMissingRows(region, workers)
    return { workers, regions: regions.map(describeRegion), enlisted: this.#enlisted }
  }

  /**
   * Gives back what a worker held when it ended: its rows that are to be zeroed. Call it in the main
   * thread, after the worker has ended and before another is started in its place.
   */
  clearWorker(workerIndex: number): void {
    intInRange('workerIndex', workerIndex, 1, this.#workers ?? 0)
    for (const { sharing, rows } of this.#regions.values()) {
      if (sharing !== 'per thread, zeroed') continue
      for (const view of Object.values(rows[workerIndex]!)) view.fill(0)
    }
  }

  /**
   * The regions that the main thread made and this one has not asked for. When a program is made
   * completely there is none; else the threads have not made the same objects.
   */
  get unclaimed(): readonly string[] {
    return [...this.#regions.keys()].filter((id) => !this.#claimed.has(id))
  }

  #claim(wanted: Wanted, name: string | undefined): KnownRegion {
    const id = this.#identify(wanted.kind, name)
    const found = this.#workerIndex === 0 ? this.#create(id, wanted) : this.#find(id, wanted)
    this.#claimed.add(id)
    return found
  }

  #identify(kind: string, name: string | undefined): string {
    if (name === undefined) {
      const order = this.#unnamedOfKind.get(kind) ?? 0
      this.#unnamedOfKind.set(kind, order + 1)
      return `${kind}#${order}`
    }
    const id = `${kind} ${JSON.stringify(name)}`
    if (name === '') throw new ProxyError('PGR_OPTION_INVALID', `name: empty, for a ${kind}`)
    if (this.#claimed.has(id)) {
      const text = `name: this thread has a ${id} already; give each one its own name`
      throw new ProxyError('PGR_OPTION_INVALID', text)
    }
    return id
  }

  #create(id: string, wanted: Wanted): KnownRegion {
    if (this.#regions.size === MAX_REGIONS) {
      const text = `shared memory: at most ${MAX_REGIONS} regions, and ${id} is one more; they stay as long as the process, so make objects with shared state when it starts`
      throw new ProxyError('PGR_OPTION_INVALID', text)
    }
    const region: KnownRegion = { id, ...wanted, memory: [], rows: [] }
    addRow(region)
    addMissingRows(region, this.#workers ?? 0)
    this.#regions.set(id, region)
    return region
  }

  #find(id: string, wanted: Wanted): KnownRegion {
    const found = this.#regions.get(id)
    if (found && layoutOf(found) === layoutOf(wanted)) return found
    const made = found ? layoutOf(found) : `none of that name, ${this.#listKind(wanted.kind)}`
    const text = `shared memory ${id}: worker ${this.#workerIndex} asks for ${layoutOf(wanted)}, the main thread made ${made}; ${ADVICE}`
    throw new ProxyError('PGR_SHARED_MEMORY_MISMATCH', text)
  }

  /** The regions of one kind with their shapes, as the end of a message. */
  #listKind(kind: string): string {
    const all = [...this.#regions.values()].filter((region) => region.kind === kind)
    if (all.length === 0) return `and no ${kind} at all`
    const listed = all.slice(0, MAX_LISTED).map((region) => `${region.id} ${layoutOf(region)}`)
    const more = all.length > MAX_LISTED ? ` and ${all.length - MAX_LISTED} more` : ''
    return `but ${listed.join(', ')}${more}`
  }
}

/** What a thread asks for. */
type Wanted = Pick<RegionDescription, 'kind' | 'shape' | 'sharing'>

/** A region with its memory, and with views over each piece of it. */
interface KnownRegion extends RegionDescription {
  readonly memory: SharedArrayBuffer[]
  readonly rows: Views<Shape>[]
}

function addRow({ shape, memory, rows }: KnownRegion): void {
  const added = allocate(shape)
  memory.push(added)
  rows.push(viewsOf(shape, added))
}

/** Each row is memory of its own: so no thread's row shares a cache line with another's. */
function addMissingRows(region: KnownRegion, workers: number): void {
  if (region.sharing === 'common') return
  while (region.rows.length < workers + 1) addRow(region)
}

function describeRegion({ id, kind, shape, sharing, memory }: KnownRegion): RegionDescription {
  return { id, kind, shape, sharing, memory: [...memory] }
}

function layoutOf({ shape, sharing }: Wanted): string {
  return sharing === 'common' ? describeShape(shape) : `${describeShape(shape)} ${sharing}`
}

/** More threads than this serve no machine; each costs a row of every table. */
const MAX_WORKERS = 1_024

/** A program has tens of them; one that has this many makes them per request. */
const MAX_REGIONS = 65_536

/** Regions that one message lists. */
const MAX_LISTED = 4
