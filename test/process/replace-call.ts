/** For modules that are preloaded with `node --import`: puts something in the place of a function of libc. */
import { createRequire } from 'node:module'

interface Koffi {
  load(path: null): { func(name: string, result: string, args: string[]): unknown }
}

/** Has programs that load `name` through koffi from here on call what `replace` makes of it. */
export function replaceCall<Call>(name: string, replace: (call: Call) => Call): void {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi
  const load = koffi.load.bind(koffi)
  koffi.load = (path) => {
    const library = load(path)
    return {
      func: (loaded, result, args) => {
        const call = library.func(loaded, result, args)
        return loaded === name ? replace(call as Call) : call
      },
    }
  }
}
