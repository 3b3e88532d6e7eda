/** `SharedDial`: one connect that several requests wait for, each of which gets a share of it. */
import { ProxyError } from '../../error/index.js'

/** What is connected, and how it is shared out. */
export interface SharedDialParts<T> {
  /** Connects; gives up when the signal says so. */
  readonly dial: (signal: AbortSignal) => Promise<T>
  /** What was connected, for one more that waits for it; `null` when it carries no more. */
  readonly share: (connected: T) => T | null
  /** Called once, when all that wait have got their share. */
  readonly onShared: (connected: T) => void
  /** Called once, when nobody can join any more. */
  readonly onOver: () => void
}

interface Waiter<T> {
  readonly resolve: (share: T | null) => void
  readonly reject: (error: Error) => void
}

/** Connects once, for those that wait, in their order; gives up when none of them is left. */
export class SharedDial<T> {
  readonly #parts: SharedDialParts<T>
  readonly #waiters = new Set<Waiter<T>>()
  readonly #givingUp = new AbortController()
  #isOver = false

  constructor(parts: SharedDialParts<T>) {
    this.#parts = parts
    void this.#run()
  }

  /** How many wait. */
  get size(): number {
    return this.#waiters.size
  }

  /**
   * Waits for a share; `null`: there was none left.
   * @throws what connecting failed with (rejects), each time an error of its own; the signal's reason.
   */
  wait(signal: AbortSignal): Promise<T | null> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.delete(waiter)
        reject(signal.reason as Error)
        if (this.#waiters.size > 0) return
        this.#end()
        this.#givingUp.abort(signal.reason)
      }
      const waiter: Waiter<T> = {
        resolve: (share) => {
          signal.removeEventListener('abort', onAbort)
          resolve(share)
        },
        reject: (error) => {
          signal.removeEventListener('abort', onAbort)
          reject(error)
        },
      }
      this.#waiters.add(waiter)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
    })
  }

  async #run(): Promise<void> {
    const { dial, share, onShared } = this.#parts
    try {
      const connected = await dial(this.#givingUp.signal)
      this.#end()
      for (const waiter of this.#waiters) waiter.resolve(share(connected))
      onShared(connected)
    } catch (error) {
      this.#end()
      // Each gets an error of its own, for hooks write on errors.
      for (const waiter of this.#waiters) waiter.reject(copyOf(error as Error))
    }
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#parts.onOver()
  }
}

function copyOf(error: Error): Error {
  if (!(error instanceof ProxyError)) return error
  const { code, message, cause, status, retry, context } = error
  return new ProxyError(code, message, { cause, status, retry, context })
}
