/** Lets everything run that waits for nothing but its turn. */

/** Resolves when all promise callbacks, and what they start without waiting for input, have run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
