/** `PendingJobs`: counts what runs outside of JavaScript and will call back, such as compression. */
import { createHook } from 'node:async_hooks'
import type { AsyncHook, HookCallbacks } from 'node:async_hooks'
import { EVENT_TURN_TRIGGER_ID } from '../time/internal.js'

/**
 * Counts, while it is started, the jobs of this thread in flight: zlib, crypto, file and name
 * requests, and callbacks of `setImmediate`. What was begun before `start` is not seen, and handles
 * that nobody waits for count nothing. Slows promises down (by 0.1 µs each on Node 20).
 */
export class PendingJobs {
  readonly #hook: AsyncHook
  /** The kind of each job in flight, by its asynchronous id. */
  readonly #jobs = new Map<number, string>()
  /** How many of them are callbacks of `setImmediate`. */
  #immediates = 0

  constructor() {
    const callbacks: HookCallbacks & { readonly trackPromises: boolean } = {
      init: (id, type, triggerId, resource) => {
        this.#onInit(id, type, triggerId, resource)
      },
      before: (id) => {
        this.#end(id)
      },
      destroy: (id) => {
        this.#end(id)
      },
      // Newer Nodes leave promises alone then; older ones do not know it.
      trackPromises: false,
    }
    this.#hook = createHook(callbacks)
  }

  /** Starts to count. */
  start(): void {
    this.#hook.enable()
  }

  /** Stops, and forgets what is in flight. */
  stop(): void {
    this.#hook.disable()
    this.#jobs.clear()
    this.#immediates = 0
  }

  /** Jobs in flight. */
  get count(): number {
    return this.#jobs.size
  }

  /** Jobs in flight whose end only real time decides: all but callbacks of `setImmediate`. */
  get outside(): number {
    return this.#jobs.size - this.#immediates
  }

  /** The kinds in flight with their numbers, by Node's names, such as `1 ZLIB, 2 FSREQCALLBACK`. */
  describe(): string {
    const counts = new Map<string, number>()
    for (const type of this.#jobs.values()) counts.set(type, (counts.get(type) ?? 0) + 1)
    return [...counts].map(([type, count]) => `${count} ${type}`).join(', ')
  }

  #onInit(id: number, type: string, triggerId: number, resource: object): void {
    if (type === 'ZLIB') this.#countFrom('write', id, type, resource)
    // All crypto jobs are called like this: `PBKDF2REQUEST`, `SIGNREQUEST`, …
    else if (type.endsWith('REQUEST')) this.#countFrom('run', id, type, resource)
    else if (REQUESTS.has(type)) this.#jobs.set(id, type)
    // The worlds' own turns go on as long as they wait for this very count to be 0.
    else if (type === IMMEDIATE && triggerId !== EVENT_TURN_TRIGGER_ID) {
      this.#jobs.set(id, type)
      this.#immediates++
    }
  }

  #end(id: number): void {
    if (this.#jobs.get(id) === IMMEDIATE) this.#immediates--
    this.#jobs.delete(id)
  }

  /** Some handles exist long before they have work, or never have any that is asynchronous. */
  #countFrom(method: string, id: number, type: string, resource: object): void {
    const handle = resource as Record<string, ((...args: unknown[]) => unknown) | undefined>
    const start = handle[method]
    if (start === undefined) return
    handle[method] = (...args: unknown[]): unknown => {
      const result = start.apply(handle, args)
      // A synchronous crypto job returns its error and its result, and never calls back.
      if (!Array.isArray(result)) this.#jobs.set(id, type)
      return result
    }
  }
}

const IMMEDIATE = 'Immediate'
/** Requests that are in flight from the moment that they exist. */
const REQUESTS: ReadonlySet<string> = new Set([
  'FSREQCALLBACK',
  'FSREQPROMISE',
  'FILEHANDLECLOSEREQ',
  'GETADDRINFOREQWRAP',
  'GETNAMEINFOREQWRAP',
  'QUERYWRAP',
])
