/** Starts programs with `-d`, follows the daemon, and ends what was started, by pid. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** What a program is started with, besides its arguments. */
export interface DaemonRunOptions {
  /** A path beside this file. Default: the `pingora` command. */
  readonly program?: string
  /** Flags of Node before it. Default: none. */
  readonly nodeFlags?: readonly string[]
  /** Added to the environment. Default: nothing. */
  readonly env?: Readonly<Record<string, string>>
  /** Commands of the shell that becomes the launcher, such as `export X=$$`. Default: no shell. */
  readonly shell?: string
}

/** One start with `-d`: the launcher, and the daemon if there is one. */
export class DaemonRun {
  /** Whatever runs holds the other end: it closes when launcher and daemon have both ended. */
  readonly allEnded: Promise<unknown>
  /** The launcher's exit code, once it has ended; its output is complete then. */
  readonly launched: Promise<number | null>
  /** What the launcher wrote. */
  output = ''
  readonly launcher: ChildProcess
  readonly #mark = randomUUID()

  constructor(args: readonly string[], options: DaemonRunOptions) {
    const { program = '../../src/cli/main.js', nodeFlags = [], env = {}, shell } = options
    const path = fileURLToPath(new URL(program, import.meta.url))
    const command = [process.execPath, ...nodeFlags, path, ...args]
    if (shell !== undefined) command.unshift('sh', '-c', `${shell}; exec "$0" "$@"`)
    this.launcher = spawn(command[0]!, command.slice(1), {
      env: { ...process.env, PINGORA_LOG: 'info', ...env, [MARK]: this.#mark },
      stdio: ['ignore', 'pipe', 'pipe', ...Array<'ignore'>(HELD - 3).fill('ignore'), 'pipe'],
    })
    const streams: readonly unknown[] = this.launcher.stdio
    const [stdout, stderr, held] = [1, 2, HELD].map((index) => streams[index] as Readable)
    for (const stream of [stdout!, stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    }
    this.allEnded = once(held!.resume(), 'end')
    const complete = [once(stdout!, 'end'), once(stderr!, 'end'), once(this.launcher, 'exit')]
    this.launched = Promise.all(complete).then(() => this.launcher.exitCode)
  }

  /** All processes of this run that live, by their environment. */
  pids(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && readProc(name, 'environ').includes(this.#mark))
      .map(Number)
  }

  /** Kills what is left; also after a test that failed half-way. */
  async end(): Promise<void> {
    this.launcher.kill('SIGKILL')
    await this.launched
    for (const pid of this.pids()) process.kill(pid, 'SIGKILL')
    await this.allEnded
  }
}

/** A folder for one test, with the files of a daemon in it. */
export class DaemonFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'pingora-'))
  readonly log: string = join(this.path, 'error.log')
  readonly pidFile: string = join(this.path, 'pingora.pid')
  readonly #t: TestContext

  constructor(t: TestContext) {
    this.#t = t
    // Also for the user that a daemon becomes.
    chmodSync(this.path, 0o777)
    t.after(() => {
      rmSync(this.path, { recursive: true })
    })
  }

  /** Starts a program with `-d` and the file `yaml`, which gets a log and a pid file if it has none. */
  start(
    yaml: string,
    options: DaemonRunOptions & { readonly flags?: readonly string[] } = {},
  ): DaemonRun {
    const keys = { error_log: this.log, pid_file: this.pidFile }
    const added = Object.entries(keys).filter(([key]) => !yaml.includes(`${key}:`))
    const file = join(this.path, 'pingora.yaml')
    writeFileSync(file, [yaml, ...added.map((pair) => pair.join(': '))].join('\n'))
    const run = new DaemonRun([...(options.flags ?? ['-d']), '-c', file], options)
    this.#t.after(() => run.end())
    return run
  }

  /** The id in the pid file. */
  pid(): number {
    return Number(readFileSync(this.pidFile, 'utf8'))
  }

  /** Waits until `holds` does; it is asked again whenever something in the folder changes. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const watcher = watch(this.path)
    const late = AbortSignal.timeout(MAX_WAIT_MS)
    try {
      while (!holds()) await once(watcher, 'change', { signal: late })
    } catch (cause) {
      throw new Error(`waited in vain until ${what}`, { cause })
    } finally {
      watcher.close()
    }
  }

  /** Waits for a line of the log, and returns what `pattern` has found. */
  async logged(pattern: RegExp): Promise<RegExpExecArray> {
    let match: RegExpExecArray | null = null
    await this.until(`the log has ${pattern}`, () => {
      match = existsSync(this.log) ? pattern.exec(readFileSync(this.log, 'utf8')) : null
      return match !== null
    })
    return match!
  }

  /** The first listener's address, from the log. */
  async listening(): Promise<string> {
    return (await this.logged(/listening on ([^\s"]+)/))[1]!
  }
}

/** A file of `/proc/PID`; empty when the process is gone. */
export function readProc(pid: number | string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return ''
  }
}

const MARK = 'DAEMON_RUN'
/** A descriptor that the daemon inherits: Node closes lower ones for the processes it starts. */
const HELD = 20
const MAX_WAIT_MS = 20_000
