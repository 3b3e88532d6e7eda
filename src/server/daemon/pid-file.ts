/** The file that says which process a daemon is. */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import type { Identity } from './identity.js'
import { withSetting } from './setting-problem.js'

/**
 * Writes the id of this process to `path`, and removes the file when the process exits. A file that
 * is there is kept as `path.old`: it is stale, or of the process that this one takes over from.
 * @param owner who may remove it later.
 * @returns to be called when this process serves. If it exits before, the older file comes back: the
 * process that it names goes on.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` when it cannot be written.
 */
export function writePidFile(path: string, owner: Identity | null): () => void {
  let hasOld = false
  withSetting('pid_file', `${path} cannot be written`, () => {
    hasOld = keepAsOld(path)
    // `x` follows no link: in a folder like /tmp anybody could have put one there since.
    const descriptor = openSync(path, 'wx')
    try {
      writeSync(descriptor, `${process.pid}\n`)
      fchmodSync(descriptor, 0o644)
      if (owner !== null) fchownSync(descriptor, owner.uid ?? process.getuid!(), owner.gid)
    } finally {
      closeSync(descriptor)
    }
  })
  process.on('exit', () => {
    removeOwn(path, hasOld)
  })
  return () => {
    hasOld = false
  }
}

/** Returns whether there was a file. */
function keepAsOld(path: string): boolean {
  try {
    renameSync(path, `${path}.old`)
    return true
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return false
    throw thrown
  }
}

/** By then the file may be that of the process that took over. */
function removeOwn(path: string, bringsOldBack: boolean): void {
  try {
    if (readFileSync(path, 'utf8') !== `${process.pid}\n`) return
    if (bringsOldBack) renameSync(`${path}.old`, path)
    else unlinkSync(path)
  } catch {
    // It is gone already, or in a folder in which our user may remove nothing.
  }
}
