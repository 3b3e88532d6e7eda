/** The file of a unix socket that is listened on. */
import { lstatSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { ProxyError } from '../../error/index.js'
import { listenError } from './system-errors.js'

/** As Pingora: who may connect is decided by the folder. */
export const DEFAULT_UNIX_MODE = 0o666

/**
 * Removes the file of a unix socket that nobody serves; any other file there is an error.
 * @throws {@link ProxyError} (rejects) `PGR_LISTEN_FAILED`.
 */
export async function clearUnixPath(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  const where = `unix:${path}`
  if (!stat.isSocket())
    throw new ProxyError('PGR_LISTEN_FAILED', `listen ${where}: the file is not a socket`)
  const inUse = await answers(path)
  if (inUse) throw new ProxyError('PGR_LISTEN_FAILED', `listen ${where}: address already in use`)
  try {
    unlinkSync(path)
  } catch (cause) {
    throw listenError(where, cause)
  }
}

/** Removes the file of a unix socket that is not served any more; what stays is replaced by the next. */
export function removeUnixPath(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It is gone already, or the folder is not ours any more.
  }
}

/** Whether somebody accepts on the unix socket at `path`; only a plain refusal says no. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path })
    probe.once('connect', () => {
      resolve(true)
      probe.destroy()
    })
    probe.on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED')
    })
  })
}
