/** `Leases`: the listeners on whose sockets the workers accept by themselves. */
import type { Sockets } from '../../os/internal.js'
import type { SocketsOfListener } from '../../transport/index.js'
import { socketsOfWorker } from './accept-mode.js'
import type { AcceptMode } from './accept-mode.js'
import type { WorkerHandle } from './worker-handle.js'

/**
 * The main thread keeps every socket open, so that it outlives the workers and can go to another
 * process. A worker gets a descriptor of its own of it: closing a number that several threads
 * had would close it for all of them.
 */
export class Leases {
  readonly #mode: Exclude<AcceptMode, 'deal'>
  readonly #threads: number
  readonly #os: Sockets
  readonly #listeners = new Map<string, SocketsOfListener>()

  constructor(mode: Exclude<AcceptMode, 'deal'>, threads: number, os: Sockets) {
    this.#mode = mode
    this.#threads = threads
    this.#os = os
  }

  /** Has `workers` accept for the listener `key`, and those that {@link grantAll} is called with later. */
  add(key: string, sockets: SocketsOfListener, workers: Iterable<WorkerHandle>): void {
    this.#listeners.set(key, sockets)
    for (const worker of workers) this.#grant(worker, key, sockets)
  }

  /** Closes the sockets of the listener here; what workers have of them is theirs to close. */
  remove(key: string): void {
    const sockets = this.#listeners.get(key) ?? []
    this.#listeners.delete(key)
    for (const { fd } of sockets) this.#os.close(fd)
  }

  /** Has a worker that serves from now on accept for all listeners. */
  grantAll(worker: WorkerHandle): void {
    for (const [key, sockets] of this.#listeners) this.#grant(worker, key, sockets)
  }

  #grant(worker: WorkerHandle, key: string, sockets: SocketsOfListener): void {
    const isShared = this.#mode === 'shared' || sockets.length < this.#threads
    const places = socketsOfWorker(this.#mode, worker.index - 1, this.#threads, sockets.length)
    for (const place of places) {
      const { fd, bound, isNonBlocking } = sockets[place]!
      const copy = this.#os.duplicate(fd)
      if (copy < 0) {
        // Clients would wait for a worker that does not accept; another one tries again.
        void worker.terminate('no descriptor was left for a socket to accept on')
        return
      }
      worker.give({ kind: 'accept', key, fd: copy, bound, isNonBlocking, isShared })
    }
  }
}
