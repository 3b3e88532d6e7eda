/** Runs programs of others for a test, in the foreground, with a listening socket of ours where wanted. */
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'

/** Why a test with `program` is skipped; `false` where it is there. */
export function missing(program: string, ...args: readonly string[]): string | false {
  try {
    execFileSync(program, args, { stdio: 'ignore', timeout: 10_000 })
    return false
  } catch {
    return `${program} is not installed`
  }
}

/**
 * Runs a program until the test is over.
 * @param log the file that gets all that it writes.
 * @param fd becomes its descriptor 3, and is closed here. Default: none.
 */
export function runProgram(
  t: TestContext,
  command: readonly [string, ...string[]],
  log: string,
  fd?: number,
): void {
  const [program, ...args] = command
  const out = openSync(log, 'a')
  const child = spawn(program, args, {
    stdio: ['ignore', out, out, ...(fd === undefined ? [] : [fd])],
  })
  closeSync(out)
  if (fd !== undefined) closeSync(fd)
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve()
    })
    child.once('error', () => {
      resolve()
    })
  })
  t.after(async () => {
    child.kill('SIGTERM')
    await ended
  })
}

/** Resolves when somebody accepts on the unix socket at `path`; rejects after ten seconds. */
export async function untilServed(path: string): Promise<void> {
  const endMs = performance.now() + 10_000
  while (!(await accepts(path))) {
    if (performance.now() > endMs) throw new Error(`nobody listens on ${path}`)
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      // One turn later, so that the wait does not keep the processor from the one who is waited for.
      setTimeout(() => {
        resolve(false)
      }, 20)
    })
  })
}
