/** A coarse timer wheel: setting and clearing a deadline costs a few assignments and no timer. */
import { describeThrown } from '../error/index.js'
import type { Clock, Timer } from './clock.js'

/**
 * One time-out that can be set again and again, such as the read time-out of a connection.
 * Moving it later only writes a number; the wheel looks at it again when its old slot comes up.
 */
export class Deadline {
  /** When it falls due, in the clock's ms; `Infinity` while it is not set. */
  atMs: number = Infinity
  /** Where the wheel holds it. Owned by the wheel. */
  place: Place = new Place()
  readonly #wheel: DeadlineWheel
  readonly #onExpire: () => void

  /** Made by {@link DeadlineWheel.deadline}. */
  constructor(wheel: DeadlineWheel, onExpire: () => void) {
    this.#wheel = wheel
    this.#onExpire = onExpire
  }

  /** Falls due `delayMs` from now, at most one resolution step late; replaces what was set. */
  set(delayMs: number): void {
    this.#wheel.setDeadline(this, delayMs)
  }

  /** Takes the deadline back. Cheap enough for every request. */
  clear(): void {
    this.atMs = Infinity
  }

  /** Takes the deadline back and lets go of the wheel; for owners that go away. */
  dispose(): void {
    this.atMs = Infinity
    this.#wheel.remove(this)
  }

  /** Whether it is set. */
  get isSet(): boolean {
    return this.atMs !== Infinity
  }

  /** Called by the wheel, once for each time that it falls due. */
  expire(): void {
    this.atMs = Infinity
    this.#onExpire()
  }
}

/**
 * A place in a slot of the wheel, which stays there until the turn of the slot. A deadline that is
 * disposed leaves its place empty and mostly comes back to it: that costs one pointer, where taking
 * it out of a list and putting it back would touch its neighbours. And what is held is only a place,
 * never an owner that is gone.
 */
class Place {
  /** The tick whose slot it is in; -1 while it is in none. */
  tick = -1
  /** `null` while it is empty. */
  deadline: Deadline | null = null
  /** The next one in the slot's list. */
  next: Place | null = null
}

/** Holds all deadlines of one thread in slots of `resolutionMs`. One clock call per wake-up. */
export class DeadlineWheel {
  readonly #clock: Clock
  readonly #resolutionMs: number
  readonly #slots: (Place | null)[] = new Array<Place | null>(SLOTS).fill(null)
  #timer: Timer | null = null
  #timerTick = Infinity
  /** Ticks up to here have been looked at. */
  #doneTick: number

  /** @param resolutionMs how late a deadline may fall due, in ms. Default: 50. */
  constructor(clock: Clock, resolutionMs: number = 50) {
    this.#clock = clock
    this.#resolutionMs = resolutionMs
    this.#doneTick = Math.floor(clock.nowMs() / resolutionMs)
  }

  /** A new deadline, not set yet, that calls `onExpire` each time it falls due. */
  deadline(onExpire: () => void): Deadline {
    return new Deadline(this, onExpire)
  }

  /** What {@link Deadline.set} does. O(1) but for a slot change. */
  setDeadline(deadline: Deadline, delayMs: number): void {
    const atMs = this.#clock.nowMs() + delayMs
    deadline.atMs = atMs
    const tick = Math.ceil(atMs / this.#resolutionMs)
    // In an earlier slot already: that slot's turn will move it on. A later one would be too late.
    if (deadline.place.tick > tick) this.#leave(deadline)
    const { place } = deadline
    place.deadline = deadline
    if (place.tick !== -1) return
    // An empty wheel has no timer and stood still: what it slept through need not be looked at.
    if (this.#timer === null) this.#catchUp(atMs - delayMs)
    this.#link(place, tick)
  }

  /** What {@link Deadline.dispose} does. O(1). */
  remove(deadline: Deadline): void {
    deadline.place.deadline = null
  }

  #leave(deadline: Deadline): void {
    deadline.place.deadline = null
    deadline.place = new Place()
  }

  #link(place: Place, wantedTick: number): void {
    // A slot further than one turn of the wheel is looked at once per turn and put back.
    const tick = Math.min(Math.max(wantedTick, this.#doneTick + 1), this.#doneTick + SLOTS)
    const slot = tick % SLOTS
    place.tick = tick
    place.next = this.#slots[slot] ?? null
    this.#slots[slot] = place
    if (tick < this.#timerTick) this.#wakeAt(tick)
  }

  #catchUp(nowMs: number): void {
    this.#doneTick = Math.max(this.#doneTick, Math.floor(nowMs / this.#resolutionMs))
  }

  #wakeAt(tick: number): void {
    this.#timer?.cancel()
    this.#timerTick = tick
    const delayMs = Math.max(0, tick * this.#resolutionMs - this.#clock.nowMs())
    this.#timer = this.#clock.schedule(delayMs, () => {
      this.#turn()
    })
  }

  /** Looks at every slot up to now: expires what is due, moves on what was set later. */
  #turn(): void {
    this.#timer = null
    this.#timerTick = Infinity
    const nowMs = this.#clock.nowMs()
    // A timer may fire a hair early; the tick it was meant for counts as reached.
    const nowTick = Math.floor(nowMs / this.#resolutionMs + 0.1)
    const first = Math.max(this.#doneTick + 1, nowTick - SLOTS + 1)
    this.#doneTick = nowTick
    const due: Deadline[] = []
    for (let tick = first; tick <= nowTick; tick++) this.#emptySlot(tick % SLOTS, nowTick, due)
    for (const deadline of due) {
      // A callback that ran before it may have moved or cleared it.
      if (deadline.atMs <= nowTick * this.#resolutionMs) this.#expire(deadline)
    }
    this.#wakeForNext()
  }

  /** What one callback throws is thrown in a turn of its own, so that the others still run. */
  #expire(deadline: Deadline): void {
    try {
      deadline.expire()
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(describeThrown(thrown))
      this.#clock.schedule(0, () => {
        throw error
      })
    }
  }

  #emptySlot(slot: number, nowTick: number, due: Deadline[]): void {
    let place = this.#slots[slot] ?? null
    this.#slots[slot] = null
    while (place) {
      const { deadline, next }: Place = place
      place.tick = -1
      place.next = null
      const atMs = deadline === null ? Infinity : deadline.atMs
      if (deadline !== null && atMs <= nowTick * this.#resolutionMs) due.push(deadline)
      else if (atMs !== Infinity) this.#link(place, Math.ceil(atMs / this.#resolutionMs))
      place = next
    }
  }

  #wakeForNext(): void {
    for (let tick = this.#doneTick + 1; tick <= this.#doneTick + SLOTS; tick++) {
      if (!this.#slots[tick % SLOTS]) continue
      if (tick < this.#timerTick) this.#wakeAt(tick)
      return
    }
  }
}

/** At 50 ms a turn is 51 s: longer deadlines are looked at once per turn. */
const SLOTS = 1024
