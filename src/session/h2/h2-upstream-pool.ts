/** `H2UpstreamPool`: HTTP/2 connections to upstreams, by how many more requests they take. */
import type { H2ConnectionOwner, H2UpstreamConnection } from './h2-upstream-connection.js'

/** The connections of one key. */
interface Group {
  readonly key: string
  /** Those that may have room; the one to use first is the last. */
  readonly open: H2UpstreamConnection[]
  /** All of them, those without room included. */
  size: number
}

/**
 * Keeps connections by key while they take requests. `take` and `release` are O(1) but for the few
 * connections that have become full since, each of which is passed over once.
 */
export class H2UpstreamPool implements H2ConnectionOwner {
  readonly #maxIdle: number
  readonly #groups = new Map<string, Group>()
  readonly #groupOf = new WeakMap<H2UpstreamConnection, Group>()
  /** Those without a stream, the one idle for longest first. */
  readonly #idle = new Set<H2UpstreamConnection>()
  #closed = false

  /** @param maxIdle connections without a stream that are kept over all keys. */
  constructor(maxIdle: number) {
    this.#maxIdle = maxIdle
  }

  /** A connection of `key` with fewer than `maxStreams` streams, with one more promised. */
  take(key: string, maxStreams: number): H2UpstreamConnection | undefined {
    const open = this.#groups.get(key)?.open
    if (open === undefined) return undefined
    for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
      if (last.reserve(maxStreams)) {
        if (this.#idle.delete(last)) last.idleDeadline.clear()
        return last
      }
      // It comes back with the next stream of it that ends.
      open.pop()
      last.isListed = false
    }
    return undefined
  }

  /** Takes a new connection in, on which streams may be promised already. */
  add(key: string, connection: H2UpstreamConnection): void {
    const group = this.#groups.get(key) ?? { key, open: [], size: 0 }
    this.#groups.set(key, group)
    this.#groupOf.set(connection, group)
    group.size++
    list(group, connection)
    connection.ownBy(this)
  }

  /**
   * A stream of `connection` is over. Without any it is kept for `idleTimeoutMs`, or closed: with 0,
   * after {@link closeAll}, and when the peer goes away. Over the limit the one idle for longest goes.
   */
  release(connection: H2UpstreamConnection, idleTimeoutMs: number): void {
    connection.streams--
    if (connection.streams === 0) this.#keepIdle(connection, idleTimeoutMs)
    this.connectionHasRoom(connection)
  }

  /** Closes the idle connections, and from now on every one that becomes idle. */
  closeAll(): void {
    this.#closed = true
    for (const connection of this.#idle) connection.destroy()
  }

  connectionHasRoom(connection: H2UpstreamConnection): void {
    const group = this.#groupOf.get(connection)
    if (group !== undefined && !connection.isListed) list(group, connection)
  }

  connectionIdled(connection: H2UpstreamConnection): void {
    connection.destroy()
  }

  connectionClosing(connection: H2UpstreamConnection): void {
    this.#idle.delete(connection)
    const group = this.#groupOf.get(connection)
    if (group === undefined) return
    this.#groupOf.delete(connection)
    const index = group.open.indexOf(connection)
    if (index >= 0) group.open.splice(index, 1)
    if (--group.size === 0) this.#groups.delete(group.key)
  }

  #keepIdle(connection: H2UpstreamConnection, idleTimeoutMs: number): void {
    const isOver = this.#closed || idleTimeoutMs <= 0 || this.#maxIdle === 0
    if (isOver || connection.isClosing) {
      connection.destroy()
      return
    }
    this.#idle.add(connection)
    connection.idleDeadline.set(idleTimeoutMs)
    if (this.#idle.size <= this.#maxIdle) return
    for (const oldest of this.#idle) {
      oldest.destroy()
      return
    }
  }
}

function list(group: Group, connection: H2UpstreamConnection): void {
  connection.isListed = true
  group.open.push(connection)
}
