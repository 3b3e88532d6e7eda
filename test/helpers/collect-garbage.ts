/** `collectGarbage`: has objects collected that nothing holds any more. */
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects until `gone` says so, or it is not to be expected any more; the result is what it says. */
export async function collectGarbage(gone: () => boolean): Promise<boolean> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  // What is weakly held lives to the end of its turn of the event loop.
  for (let turn = 0; turn < MAX_TURNS && !gone(); turn++) {
    await setImmediate()
    collect()
  }
  return gone()
}

const MAX_TURNS = 100
