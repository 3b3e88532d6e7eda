/** `ConnectionPool`: idle upstream connections, watched while they wait and used last in first out. */
import { intInRange } from '../error/index.js'
import { Counters, SILENT_LOGGER } from '../observability/index.js'
import type { Logger } from '../observability/index.js'
import type { Deadline, DeadlineWheel } from '../time/index.js'
import type { Connection, ConnectionHandler } from './connection.js'

/** What a {@link ConnectionPool} is made from. */
export interface ConnectionPoolOptions {
  /** The thread's time-outs. */
  readonly deadlines: DeadlineWheel
  /** Idle connections kept over all keys, 0 to 1000000; 0 keeps none. Default: 128. */
  readonly maxIdleConnections?: number
  /** Counts `upstreamUnexpectedData`. Default: its own. */
  readonly counters?: Counters
  /** Told of peers that speak unasked. Default: silent. */
  readonly logger?: Logger
}

/**
 * Keeps idle connections by key. A connection that closes, ends or speaks while it waits is
 * dropped at once, so that what `take` returns was healthy a moment ago. `take` and `release` are
 * O(1) and, for a connection that was here before, allocate nothing.
 */
export class ConnectionPool {
  readonly #deadlines: DeadlineWheel
  readonly #maxIdle: number
  readonly #counters: Counters
  readonly #logger: Logger
  readonly #stacks = new Map<string, Stack>()
  /** The most recently released connection, and the one released longest ago. */
  #newest: PoolEntry | null = null
  #oldest: PoolEntry | null = null
  #size = 0
  #emptyStacks = 0
  #closed = false
  /** Called by an entry that waits: its connection is of no more use. One function for them all. */
  readonly #drop: DropEntry = (entry, spoke) => {
    if (entry.stack === null) return
    this.#close(entry)
    if (!spoke) return
    this.#counters.add('upstreamUnexpectedData')
    this.#logger.warn('upstream spoke on an idle connection', {
      peer: entry.connection.digest.peerAddress,
      key: entry.key.slice(0, MAX_LOGGED_KEY),
    })
  }

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` when `maxIdleConnections` is out of range. */
  constructor(options: ConnectionPoolOptions) {
    const { maxIdleConnections = DEFAULT_MAX_IDLE } = options
    this.#maxIdle = intInRange('maxIdleConnections', maxIdleConnections, 0, 1_000_000)
    this.#deadlines = options.deadlines
    this.#counters = options.counters ?? new Counters()
    this.#logger = options.logger ?? SILENT_LOGGER
  }

  /**
   * The connection of `key` that was released last; `undefined` when there is none. It is reading:
   * set its handler before anything else happens.
   */
  take(key: string): Connection | undefined {
    const stack = this.#stacks.get(key)
    if (stack === undefined) return undefined
    for (let entry = stack.top; entry !== null; entry = stack.top) {
      this.#remove(entry)
      if (!entry.connection.destroyed) return entry.connection
    }
    return undefined
  }

  /**
   * Keeps `connection` under `key` for `idleTimeoutMs`; with 0, after {@link closeAll}, or while
   * bytes of it are pending, it is closed. Over the limit the one idle for longest is closed.
   */
  release(key: string, connection: Connection, idleTimeoutMs: number): void {
    if (connection.destroyed) return
    if (idleTimeoutMs <= 0 || this.#closed || this.#maxIdle === 0 || connection.pendingBytes > 0) {
      connection.destroy()
      return
    }
    const entry = this.#entryOf(connection)
    if (entry.stack !== null) return
    this.#add(entry, key)
    entry.deadline.set(idleTimeoutMs)
    connection.handler = entry
    connection.resume()
    if (this.#size > this.#maxIdle && this.#oldest) this.#close(this.#oldest)
  }

  /** Closes every idle connection, and from now on every one that is released. */
  closeAll(): void {
    this.#closed = true
    while (this.#oldest) this.#close(this.#oldest)
    this.#stacks.clear()
    this.#emptyStacks = 0
  }

  /** Idle connections kept now. */
  get size(): number {
    return this.#size
  }

  /** An entry lives as long as its connection, so that a release makes no garbage. */
  #entryOf(connection: Connection): PoolEntry {
    const known = connection.ownerEntry
    if (known instanceof PoolEntry && known.drop === this.#drop) return known
    const entry = new PoolEntry(this.#drop, connection, this.#deadlines)
    connection.ownerEntry = entry
    return entry
  }

  #add(entry: PoolEntry, key: string): void {
    let stack = this.#stacks.get(key)
    if (stack === undefined) {
      stack = { top: null }
      this.#stacks.set(key, stack)
    } else if (stack.top === null) this.#emptyStacks--
    entry.key = key
    entry.stack = stack
    entry.below = stack.top
    if (stack.top) stack.top.above = entry
    stack.top = entry
    entry.older = this.#newest
    if (this.#newest) this.#newest.newer = entry
    else this.#oldest = entry
    this.#newest = entry
    this.#size++
  }

  #remove(entry: PoolEntry): void {
    const stack = entry.stack!
    const { above, below, newer, older } = entry
    if (above) above.below = below
    else stack.top = below
    if (below) below.above = above
    if (newer) newer.older = older
    else this.#newest = older
    if (older) older.newer = newer
    else this.#oldest = newer
    entry.above = entry.below = entry.newer = entry.older = entry.stack = null
    this.#size--
    // The wheel must not hold a connection that is in use: it may end there, and would be kept.
    entry.deadline.dispose()
    if (stack.top === null) this.#noteEmpty()
  }

  /** An empty stack is likely filled again; only when there are many do they all go. */
  #noteEmpty(): void {
    if (++this.#emptyStacks <= MAX_EMPTY_STACKS) return
    for (const [key, stack] of this.#stacks) {
      if (stack.top === null) this.#stacks.delete(key)
    }
    this.#emptyStacks = 0
  }

  #close(entry: PoolEntry): void {
    this.#remove(entry)
    entry.connection.destroy()
  }
}

/** The idle connections of one key, linked through their entries. */
interface Stack {
  top: PoolEntry | null
}

type DropEntry = (entry: PoolEntry, spoke: boolean) => void

/** One connection's place in the pool, and its handler while it waits there. */
class PoolEntry implements ConnectionHandler {
  /** The pool's; also says which pool the entry belongs to. */
  readonly drop: DropEntry
  readonly connection: Connection
  readonly deadline: Deadline
  key = ''
  /** Where it waits; `null` while it is in use. */
  stack: Stack | null = null
  above: PoolEntry | null = null
  below: PoolEntry | null = null
  newer: PoolEntry | null = null
  older: PoolEntry | null = null

  constructor(drop: DropEntry, connection: Connection, deadlines: DeadlineWheel) {
    this.drop = drop
    this.connection = connection
    this.deadline = deadlines.deadline(() => {
      drop(this, false)
    })
  }

  onData(): void {
    this.drop(this, true)
  }

  onEnd(): void {
    this.drop(this, false)
  }

  onDrain(): void {
    // Nothing is written on an idle connection.
  }

  onClose(): void {
    this.drop(this, false)
  }
}

const DEFAULT_MAX_IDLE = 128
const MAX_EMPTY_STACKS = 128
/** A key may hold names and hashes of certificates; the log needs its beginning only. */
const MAX_LOGGED_KEY = 120
