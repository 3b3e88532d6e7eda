/** Reads a file that a key of the configuration names. */
import type { ConfigDocument, ConfigProblem } from '../configuration/index.js'
import { ProxyError } from '../error/index.js'

/**
 * What `reader` makes of the file at `path`, which is relative to the document; `undefined` when
 * there is no path, or when reading failed, which is then a problem at `key`.
 */
export function readNamedFile<T>(
  document: ConfigDocument,
  key: readonly PropertyKey[],
  path: string | undefined,
  reader: (path: string) => T,
  problems: ConfigProblem[],
): T | undefined {
  if (path === undefined) return undefined
  try {
    return reader(document.resolvePath(path))
  } catch (thrown) {
    if (!(thrown instanceof ProxyError)) throw thrown
    problems.push(document.problem(key, thrown.message))
    return undefined
  }
}
