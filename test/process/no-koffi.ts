/** Preloaded by a test: `koffi` cannot be found, as where it has no build for the machine. */
import { createRequire } from 'node:module'

interface Resolver {
  _resolveFilename(name: string, ...rest: unknown[]): string
}

const resolver = createRequire(import.meta.url)('node:module') as Resolver
const resolve = resolver._resolveFilename.bind(resolver)
resolver._resolveFilename = (name, ...rest) => {
  if (name === 'koffi') throw new Error('no koffi here')
  return resolve(name, ...rest)
}
