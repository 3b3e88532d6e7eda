/** Waits for a promise, but not for ever. */
import type { Clock } from '../time/index.js'

/** Whether `promise` settles in time; its rejection is the caller's. */
export async function settlesWithin(
  promise: Promise<unknown>,
  maxMs: number,
  clock: Clock,
): Promise<boolean> {
  let expire = (): void => undefined
  const expired = new Promise<boolean>((resolve) => {
    expire = () => {
      resolve(false)
    }
  })
  const timer = clock.schedule(maxMs, expire)
  try {
    return await Promise.race([promise.then(() => true), expired])
  } finally {
    timer.cancel()
  }
}
