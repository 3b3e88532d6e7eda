/** Keeps the process alive while a server runs, whatever its services hold open. */
import { MessageChannel } from 'node:worker_threads'

/**
 * Without it a server whose only services wait in the background would end at once, because neither
 * signal handlers nor the clock's timers keep Node running.
 * @returns lets the process end again.
 */
export function keepAlive(): () => void {
  const { port1 } = new MessageChannel()
  port1.ref()
  return () => {
    port1.close()
  }
}
