/** `WaitingWrites`: what was written to a memory connection and found no room in its pipe. */
import type { MemoryPipe } from './memory-pipe.js'

/** Data of one write, or of a part of it. */
interface Waiting {
  readonly data: string | Uint8Array
  from: number
  /** Whether the write ends with this data; one that was corked has several. */
  readonly endsWrite: boolean
}

/**
 * A queue that holds the writer's own bytes, not copies: who changes bytes before they are drained
 * sends the changed ones. It is as long as its owner makes it, who is told by `write` to stop.
 */
export class WaitingWrites {
  /** Bytes that wait. */
  bytes = 0
  #queue: Waiting[] = []
  #head = 0

  /** Appends data; `endsWrite` is false when the next data belongs to the same write. */
  add(data: string | Uint8Array, endsWrite: boolean): void {
    this.bytes += data.length
    this.#queue.push({ data, from: 0, endsWrite })
  }

  /** Moves as much as `pipe` has room for. */
  moveTo(pipe: MemoryPipe): void {
    let written = 0
    let { room } = pipe
    while (this.#head < this.#queue.length && room > 0) {
      const waiting = this.#queue[this.#head]!
      const count = Math.min(room, waiting.data.length - waiting.from)
      pipe.append(waiting.data, waiting.from, waiting.from + count)
      room -= count
      written += count
      waiting.from += count
      if (waiting.from < waiting.data.length) break
      this.#head++
      if (waiting.endsWrite) {
        pipe.commit(written)
        this.bytes -= written
        written = 0
      }
    }
    if (written > 0) pipe.commit(written)
    this.bytes -= written
    this.#forgetMoved()
  }

  /** Drops everything. */
  clear(): void {
    this.#queue = []
    this.#head = 0
    this.bytes = 0
  }

  #forgetMoved(): void {
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head >= MAX_MOVED) {
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
  }
}

/** So many moved ones are kept at the front of the queue at most. */
const MAX_MOVED = 256
