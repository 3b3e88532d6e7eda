/** Starts the programs of a benchmark, knows when they listen, and ends every one of them by its id. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import os from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pinned } from './machine.js'
import { childrenOf } from './process-usage.js'

/** One started program. */
export class Child {
  readonly name: string
  readonly pid: number
  readonly exited: Promise<void>
  readonly #process: ChildProcess
  readonly #logFile: string

  constructor(name: string, process: ChildProcess, logFile: string) {
    this.name = name
    this.pid = process.pid ?? 0
    this.#process = process
    this.#logFile = logFile
    this.exited = new Promise((resolve) => {
      process.once('exit', () => {
        resolve()
      })
      process.once('error', () => {
        resolve()
      })
    })
  }

  get running(): boolean {
    return this.pid > 0 && this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** The most telling line the program wrote before it gave up: an error line, else the last one. */
  lastWords(): string {
    const lines = readFileSync(this.#logFile, 'utf8').trim().split('\n')
    return lines.find((line) => /error|emerg|alert/i.test(line)) ?? lines.at(-1) ?? ''
  }

  /** Waits until `port` accepts a connection, polling every 2 ms. @returns milliseconds waited. */
  async listening(port: number, timeoutMs = 10_000): Promise<number> {
    const begun = performance.now()
    while (!(await accepts(port))) {
      if (!this.running) throw new Error(`${this.name} ended: ${this.lastWords()}`)
      const waitedMs = performance.now() - begun
      if (waitedMs > timeoutMs) throw new Error(`${this.name} does not listen on port ${port}`)
      await sleep(2)
    }
    return performance.now() - begun
  }

  /** Asks the program to end; one that has not after three seconds is killed with its children. */
  async end(): Promise<void> {
    if (!this.running) return
    this.signal('SIGTERM')
    const patience = new AbortController()
    const late = sleep(3_000, true, { signal: patience.signal }).catch(() => false)
    const tooLate = await Promise.race([late, this.exited.then(() => false)])
    patience.abort()
    if (!tooLate) return
    for (const pid of childrenOf(this.pid)) signalPid(pid, 'SIGKILL')
    this.signal('SIGKILL')
    await this.exited
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) signalPid(this.pid, name)
  }
}

/** All programs and the temporary folder of one benchmark run. */
export class Children {
  /** Removed by {@link close}. */
  readonly directory: string = mkdtempSync(join(os.tmpdir(), 'pingora-bench-'))
  readonly #running = new Set<Child>()
  #started = 0

  constructor() {
    // An nginx that root starts serves as another user, who must be able to read what it serves.
    chmodSync(this.directory, 0o755)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        void this.close().finally(() => process.exit(130))
      })
    }
    // The way out when something threw: nothing asynchronous runs here any more.
    process.once('exit', () => {
      for (const child of this.#running) child.signal('SIGTERM')
      rmSync(this.directory, { recursive: true, force: true })
    })
  }

  /** Starts `command` on `core`; its output goes to a file that {@link Child.lastWords} reads. */
  start(name: string, core: number, command: readonly string[]): Child {
    const logFile = join(this.directory, `output-${this.#started++}.log`)
    const log = openSync(logFile, 'w')
    const [file = '', ...args] = pinned(core, command)
    const process = spawn(file, args, { stdio: ['ignore', log, log], cwd: this.directory })
    closeSync(log)
    const child = new Child(name, process, logFile)
    this.#running.add(child)
    void child.exited.then(() => this.#running.delete(child))
    return child
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map((child) => child.end()))
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** Runs `command` on `core` to its end. @returns what it wrote to its standard output. */
export function outputOf(core: number, command: readonly string[]): Promise<string> {
  const [file = '', ...args] = pinned(core, command)
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  const endChild = (): void => void child.kill('SIGTERM')
  process.once('exit', endChild)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      process.off('exit', endChild)
      const text = Buffer.concat(chunks).toString()
      if (code === 0) resolve(text)
      else reject(new Error(`${file} ended with ${code ?? signal}: ${text.trim()}`))
    })
  })
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

function signalPid(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It ended between the check and the signal, which is what was wanted.
  }
}
