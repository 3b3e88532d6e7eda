/**
 * Preloaded with `node --import`: what a program does with the default pid file, `/tmp/pingora.pid`,
 * happens to the file of `PRIVATE_PID_FILE`. The other may be that of a server of this machine.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const DEFAULT_PID_FILE = '/tmp/pingora.pid'

type Call = (...args: unknown[]) => unknown

const calls = fs as unknown as Record<string, Call>
for (const name of ['openSync', 'readFileSync', 'renameSync', 'unlinkSync']) {
  const call = calls[name]!
  calls[name] = (...args) => call(...args.map(inPrivate))
}
syncBuiltinESMExports()

function inPrivate(argument: unknown): unknown {
  const isPath = typeof argument === 'string' && argument.startsWith(DEFAULT_PID_FILE)
  return isPath ? argument.replace(DEFAULT_PID_FILE, process.env['PRIVATE_PID_FILE']!) : argument
}
