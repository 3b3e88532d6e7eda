/** `RingWriter`: what leaves on one connection, in order, through the ring or at once. */
import { constants } from 'node:os'
import type { IoVector, Memory } from '../../os/internal.js'
import type { RingLoop, RingSender } from './ring-loop.js'
import { writeLatin1 } from './text-arena.js'

/** Who writes, and is told what became of it. */
export interface RingWriterOwner {
  /** Everything that had to wait has left. */
  drained(): void
  /** Nothing leaves any more; a negative errno says why. */
  writeFailed(status: number): void
  /** Our direction has ended. */
  endSent(): void
  /** The text that {@link RingWriter.close} left is on its way: the descriptor may be closed behind it. */
  lastTextLeft(): void
  /** The ring has nothing of a closed writer any more, which no completion tells. */
  settledClosed(): void
}

/**
 * Text, which is what heads and small bodies are, is handed over at the end of the round, for all
 * connections with one system call. Bytes are sent at once, with the text before them. What the
 * kernel does not take then waits in the ring. One send at a time is with the ring.
 */
export class RingWriter implements RingSender {
  readonly #loop: RingLoop
  readonly #owner: RingWriterOwner
  readonly #fd: number
  readonly #slot: number
  readonly #kind: number
  /** Text of this round; with the kernel for all that the owner can tell. */
  #text = ''
  /** Whether the loop is going to flush the text. */
  #isSender = false
  /** Where the loop's arena has the text that was handed over last. */
  #handedAt = 0
  /** What has to leave before the text, in order. */
  #waiting: IoVector[] = []
  #waitingBytes = 0
  /** What is with the ring, how much of it is left, and in which round the ring took it. */
  #sending: Sending | null = null
  #sendingBytes = 0
  #sendingRound = 0
  #drainWanted = false
  #ending = false
  #closed = false

  /** @param kind of the ring's completions that belong to {@link sent}. */
  constructor(loop: RingLoop, owner: RingWriterOwner, fd: number, slot: number, kind: number) {
    this.#loop = loop
    this.#owner = owner
    this.#fd = fd
    this.#slot = slot
    this.#kind = kind
  }

  /** Whether the ring still uses memory of ours. */
  get isSending(): boolean {
    return this.#sending !== null
  }

  /** Whether bytes wait that the kernel could not take at once. */
  get isPending(): boolean {
    return this.#waitingBytes > 0 || (this.#sending !== null && this.#isLate)
  }

  /** The bytes that wait. */
  get pendingBytes(): number {
    if (!this.isPending) return 0
    return this.#sendingBytes + this.#waitingBytes + this.#text.length
  }

  /** Writes text. Returns whether nothing waits. */
  writeText(text: string): boolean {
    this.#text += text
    if (this.isPending) {
      this.#drainWanted = true
      return false
    }
    if (this.#text.length > MAX_HELD_TEXT) return this.writeNow([])
    if (!this.#isSender) {
      this.#isSender = true
      this.#loop.addSender(this)
    }
    return true
  }

  /** Sends what the kernel takes at once, the text before it included. Returns whether nothing waits. */
  writeNow(vectors: readonly IoVector[]): boolean {
    const all = this.#text === '' ? vectors : [this.#text, ...vectors]
    this.#text = ''
    if (all.length === 0) return !this.isPending
    const sent = this.#sending === null ? this.#loop.sockets.send(this.#fd, all) : 0
    if (sent < 0 && sent !== EAGAIN) {
      this.#owner.writeFailed(sent)
      return true
    }
    this.#keepRest(all, Math.max(sent, 0))
    if (this.#waitingBytes === 0) return true
    this.#drainWanted = true
    if (this.#sending === null) this.#sendNext(LONG_AGO)
    return false
  }

  gather(): void {
    if (this.#hasTextToSend) this.#handedAt = this.#loop.arena.place(this.#text)
  }

  flush(): void {
    this.#isSender = false
    if (!this.#hasTextToSend) return
    if (this.#handedAt >= 0) this.#handText()
    else if (this.#closed) this.#sendLastText()
    else this.#sendNext(this.#loop.round)
    if (this.#closed) this.#owner.lastTextLeft()
  }

  settled(): void {
    if (this.#sending !== HANDED) return
    this.sent(this.#sendingBytes)
    if (this.#closed) this.#owner.settledClosed()
  }

  /** Of the text that was flushed the kernel has taken the first `result` bytes, or that is a negative errno. */
  unsent(result: number): void {
    if (this.#closed || (result < 0 && result !== EAGAIN)) {
      this.sent(result)
      return
    }
    const sent = Math.max(0, result)
    const rest = this.#loop.arena.read(this.#handedAt + sent, this.#handedAt + this.#sendingBytes)
    this.#sending = null
    this.#waiting.unshift(rest)
    this.#waitingBytes += rest.length
    this.#sendNext(LONG_AGO)
  }

  /** Ends our direction after everything that was written. */
  end(): void {
    this.#ending = true
    if (this.#sending !== null) return
    this.writeNow([])
    if (!this.isSending && !this.#closed) this.#sendEnd()
  }

  /**
   * The connection closes: text that the owner takes for sent gets its chance, nothing else does. Returns
   * whether there is such text: then the owner is told when the descriptor may be closed.
   */
  close(): boolean {
    this.#closed = true
    this.#waiting = []
    this.#waitingBytes = 0
    // Text behind bytes that never left has nobody who sends it, and would come out of order.
    if (this.#isSender && this.#hasTextToSend) return true
    this.#text = ''
    return false
  }

  /** The ring has sent what it had, or `result` is a negative errno. */
  sent(result: number): void {
    if (result >= 0 && result < this.#sendingBytes && !this.#closed) {
      this.#sendingBytes -= result
      this.#send()
      return
    }
    const isLate = this.#isLate
    if (this.#sending?.piece) this.#loop.sendMemory.give(this.#sending.piece)
    this.#sending = null
    this.#sendingBytes = 0
    if (this.#closed) return
    if (result < 0) this.#owner.writeFailed(result)
    else if (this.#waiting.length > 0 || this.#text !== '')
      this.#sendNext(isLate ? LONG_AGO : this.#loop.round + 1)
    else if (this.#ending) this.#sendEnd()
    else if (isLate || this.#drainWanted) {
      this.#drainWanted = false
      this.#owner.drained()
    }
  }

  /** Keeps what follows the first `sent` bytes. */
  #keepRest(vectors: readonly IoVector[], sent: number): void {
    let before = sent
    for (const vector of vectors) {
      const rest = before === 0 ? vector : restOf(vector, before)
      before = Math.max(0, before - vector.length)
      if (rest.length === 0) continue
      this.#waiting.push(rest)
      this.#waitingBytes += rest.length
    }
  }

  #handText(): void {
    const { arena, ring, round } = this.#loop
    const { length } = this.#text
    this.#text = ''
    this.#sending = HANDED
    this.#sendingBytes = length
    this.#sendingRound = round
    ring.sendAtOnce(this.#slot, this.#fd, arena.address + this.#handedAt, length)
  }

  #sendLastText(): void {
    this.#loop.sockets.send(this.#fd, [this.#text])
    this.#text = ''
  }

  /** Gives the next piece to the ring: there is one, and the ring has none. */
  #sendNext(round: number): void {
    const next = this.#waiting.shift()
    if (next !== undefined) this.#waitingBytes -= next.length
    const vector = next ?? this.#text
    if (next === undefined) this.#text = ''
    this.#sending = typeof vector === 'string' ? this.#placeText(vector) : this.#placeBytes(vector)
    this.#sendingBytes = this.#sending.length
    this.#sendingRound = round
    this.#send()
  }

  #placeText(text: string): Sending {
    const { sendMemory } = this.#loop
    const length = Math.min(text.length, sendMemory.pieceBytes)
    if (text.length > length) {
      this.#waiting.unshift(text.slice(length))
      this.#waitingBytes += text.length - length
    }
    const piece = sendMemory.take()
    writeLatin1(piece.bytes, text, 0, length)
    return { piece, bytes: null, address: piece.address, length }
  }

  #placeBytes(bytes: Uint8Array): Sending {
    const { length } = bytes
    return { piece: null, bytes, address: this.#loop.libc.addressOf(bytes), length }
  }

  #send(): void {
    const { address, length } = this.#sending!
    const from = address + length - this.#sendingBytes
    this.#loop.ring.send(this.#slot, this.#kind, this.#fd, from, this.#sendingBytes)
    this.#loop.wake()
  }

  #sendEnd(): void {
    const status = this.#loop.sockets.shutdownWrite(this.#fd)
    if (status < 0) this.#owner.writeFailed(status)
    else this.#owner.endSent()
  }

  get #hasTextToSend(): boolean {
    return this.#text !== '' && this.#sending === null
  }

  /** Whether the ring has had what it sends for longer than the round that handed it over. */
  get #isLate(): boolean {
    return this.#sendingRound < this.#loop.round
  }
}

/** What the ring sends: text in a piece of the loop's memory, or bytes of somebody else, kept alive. */
interface Sending {
  readonly piece: Memory | null
  readonly bytes: Uint8Array | null
  readonly address: number
  readonly length: number
}

/** Text that the loop's arena has, for as long as the kernel takes to send it. */
const HANDED: Sending = { piece: null, bytes: null, address: 0, length: 0 }

function restOf(vector: IoVector, from: number): IoVector {
  return typeof vector === 'string' ? vector.slice(from) : vector.subarray(from)
}

/** Longer text is worth a system call of its own. */
const MAX_HELD_TEXT = 16 * 1024
/** A round before all others: what was pending before stays pending. */
const LONG_AGO = -1
const EAGAIN = -constants.errno.EAGAIN
