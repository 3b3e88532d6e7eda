/** Two ends of a memory connection, on a clock that goes on by itself. */
import type { TestContext } from 'node:test'
import { ManualClock } from '../../src/time/index.js'
import type { Timer } from '../../src/time/index.js'
import type { Connection } from '../../src/transport/index.js'
import { MemoryNetwork } from '../../src/transport/internal.js'
import type { LinkOptions } from '../../src/transport/internal.js'
import type { ConnectionPairUnderTest } from './contracts/connection.js'

/** Runs one call per turn of the event loop, for tests that wait on promises. */
export class SelfWindingClock extends ManualClock {
  #isWound = false

  override schedule(delayMs: number, callback: () => void): Timer {
    const timer = super.schedule(delayMs, callback)
    this.#wind()
    return timer
  }

  #wind(): void {
    if (this.#isWound) return
    this.#isWound = true
    setImmediate(() => {
      this.#isWound = false
      this.runNext(Infinity)
      if (this.pending > 0) this.#wind()
    })
  }
}

/** A pair over a link as `link` says. */
export async function memoryPair(
  t: TestContext,
  link: LinkOptions = {},
): Promise<ConnectionPairUnderTest> {
  const clock = new SelfWindingClock()
  clock.advanceTo(1_000)
  const uncaught: unknown[] = []
  const onUncaught = (error: unknown): void => {
    uncaught.push(error)
  }
  const network = new MemoryNetwork({ clock, link, onUncaught })
  let accepted: Connection | undefined
  const address = { kind: 'ip', host: '10.0.0.1', port: 80 } as const
  await network.listen(address, {}, (connection) => {
    accepted = connection
  })
  const dialled = await network.dial(address, {})
  t.after(() => {
    dialled.destroy()
    accepted?.destroy()
  })
  const settle = async (): Promise<void> => {
    while (clock.pending > 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return { dialled, accepted: accepted!, uncaught, settle }
}
