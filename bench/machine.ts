/** What this machine offers to a benchmark: cores to pin to, programs in the path, free ports, versions. */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import os from 'node:os'
import { delimiter, join } from 'node:path'

/** The core every measured proxy runs on. */
export const PROXY_CORE = 0

/** The core that the load generator and the backend share. */
export const LOAD_CORE = 1

/** Looks `name` up in the path, and where system daemons live though a user's path leaves it out. */
export function findProgram(name: string): string | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/local/sbin',
    '/usr/local/bin',
    '/opt/homebrew/bin',
  ]
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

/**
 * The command line that runs `command` on one core, or the command itself where it cannot be pinned
 * (no `taskset`, or a single core). `taskset` replaces itself, so the process id stays the same.
 */
export function pinned(core: number, command: readonly string[]): readonly string[] {
  const taskset = findProgram('taskset')
  return taskset === undefined || os.cpus().length < 2
    ? command
    : [taskset, '-c', String(core), ...command]
}

/** True when proxies and load really run on cores of their own; without it only CPU figures compare. */
export function canPin(): boolean {
  return pinned(PROXY_CORE, ['']).length > 1
}

/**
 * A TCP port nobody listens on. It is taken from below the range that kernels hand to outgoing
 * connections: thousands of those come and go in a run, and one of them would block a later bind.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = 15_000 + Math.floor(Math.random() * 17_000)
    if (await canListen(port)) return port
  }
  throw new Error('no free port between 15000 and 32000')
}

/** The first line `program` prints for `flag`, on whichever stream it uses; undefined if it fails. */
export function versionOf(program: string, flag: string): string | undefined {
  try {
    const text = execFileSync('/bin/sh', ['-c', '"$0" "$1" 2>&1 || true', program, flag])
    const version = /\d+\.\d+(\.\d+)?/.exec(text.toString())
    return version?.[0]
  } catch {
    return undefined
  }
}

/** Facts about the machine that belong beside every figure. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly kernel: string
  readonly node: string
  readonly pinned: boolean
  /** Load average of the last minute before the run. */
  readonly load: number
}

export function describeMachine(): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.cpus().length,
    kernel: `${os.type()} ${os.release()}`,
    node: process.versions.node,
    pinned: canPin(),
    load: os.loadavg()[0] ?? 0,
  }
}

/** The version in the `package.json` of an installed npm package, or undefined when it is absent. */
export function packageVersion(name: string, root: string): string | undefined {
  try {
    const text = readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')
    const { version } = JSON.parse(text) as { version?: string }
    return version
  } catch {
    return undefined
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}
