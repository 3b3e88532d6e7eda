/** How connections come to the workers: dealt by the main thread, or accepted by themselves. */

/**
 * - `deal`: the main thread accepts, and gives each connection to the next worker in turn.
 * - `shared`: all workers accept on one socket; whoever waits for longest gets the next connection.
 * - `reuseport`: each worker has a socket of its own, and the kernel chooses one by a hash of the
 *   addresses and ports. A unix socket, and one of systemd's, is shared.
 */
export type AcceptMode = (typeof ACCEPT_MODES)[number]

/** All of them; the first is the default. */
export const ACCEPT_MODES = ['deal', 'shared', 'reuseport'] as const

/**
 * Which of a listener's sockets a worker accepts on. There may be more of them than workers, or fewer:
 * an upgrade leaves none behind, in which clients wait, and a unix socket is always one.
 * @param worker place of the worker among `threads`, from 0.
 * @returns places of sockets, from 0.
 */
export function socketsOfWorker(
  mode: Exclude<AcceptMode, 'deal'>,
  worker: number,
  threads: number,
  sockets: number,
): number[] {
  const all = Array.from({ length: sockets }, (_, index) => index)
  if (mode === 'shared') return all
  const groups = Math.min(sockets, threads)
  return all.filter((socket) => socket % groups === worker % groups)
}
