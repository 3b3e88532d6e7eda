/** A memory network whose clock the test moves, and a record of what happened on it. */
import assert from 'node:assert/strict'
import { ManualClock } from '../../src/time/index.js'
import { eventTurn } from '../../src/time/internal.js'
import { MemoryNetwork } from '../../src/transport/internal.js'
import type { MemoryConnection, MemoryNetworkOptions } from '../../src/transport/internal.js'

/** Where {@link MemoryTestWorld.connect} listens. */
export const LISTENING = { kind: 'ip', host: '10.0.0.1', port: 80 } as const

/** The two ends of a connection. */
export interface MemoryEnds {
  readonly dialled: MemoryConnection
  readonly accepted: MemoryConnection
}

/** Nothing happens on it but within `now` and `advance`. */
export class MemoryTestWorld {
  readonly clock: ManualClock = new ManualClock()
  readonly network: MemoryNetwork
  /** What the network told, each line behind its time. */
  readonly trace: string[] = []
  /** What handlers threw. */
  readonly uncaught: unknown[] = []
  /** Connections accepted at {@link LISTENING} and not given out yet. */
  readonly accepted: MemoryConnection[] = []
  #listening = false

  constructor(options: Omit<MemoryNetworkOptions, 'clock'> = {}) {
    this.network = new MemoryNetwork({
      trace: (line) => this.trace.push(`${this.clock.nowMs()} ${line}`),
      onUncaught: (error) => this.uncaught.push(error),
      ...options,
      clock: this.clock,
    })
  }

  /** A connection to {@link LISTENING}; time passes as far as the link needs. */
  async connect(options: { readonly forTls?: boolean } = {}): Promise<MemoryEnds> {
    await this.listen()
    const dialled = await this.run(this.network.dial(LISTENING, options))
    const accepted = this.accepted.shift()
    assert.ok(accepted)
    return { dialled, accepted }
  }

  /** Listens at {@link LISTENING}, if it does not yet. */
  async listen(): Promise<void> {
    if (this.#listening) return
    this.#listening = true
    await this.network.listen(LISTENING, {}, (connection) => this.accepted.push(connection))
  }

  /** Runs everything that is due at this instant, and what follows from it. */
  async now(): Promise<void> {
    await this.advance(0)
  }

  /** Lets time pass. */
  async advance(ms: number): Promise<void> {
    const endMs = this.clock.nowMs() + ms
    do await eventTurn()
    while (this.clock.runNext(endMs))
    this.clock.advanceTo(endMs)
  }

  /** Lets time pass until `promise` is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    const watch = watched(promise)
    do await eventTurn()
    while (!watch.settled && this.clock.runNext(Infinity))
    assert.ok(watch.settled, 'it waits for what never happens')
    return promise
  }

  /** Whether `promise` is not settled when nothing more is due at this instant. */
  async hangs(promise: Promise<unknown>): Promise<boolean> {
    const watch = watched(promise)
    await this.now()
    return !watch.settled
  }
}

function watched(promise: Promise<unknown>): { settled: boolean } {
  const watch = { settled: false }
  const done = (): void => {
    watch.settled = true
  }
  promise.then(done, done)
  return watch
}
