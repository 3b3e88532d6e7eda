/** Runs a compiled program as its own process and follows what it writes. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** How a process ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A process of a test; killed when the test ends. */
export class Program {
  /** All of stdout so far. */
  stdout = ''
  /** All of stderr so far. */
  stderr = ''
  /** Resolves when the process has ended and its output is complete. */
  readonly ended: Promise<Ending>
  readonly #child: ChildProcess
  #onOutput: () => void = () => undefined

  constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
      this.#onOutput()
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#onOutput()
    })
    this.ended = once(child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }))
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Sends a signal. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Waits until what was written to stdout or stderr matches; throws when the process ends first. */
  async match(pattern: RegExp): Promise<RegExpExecArray> {
    const over = this.ended.then(({ code }) => {
      throw new Error(`ended with ${code} before ${pattern}:\n${this.stdout}\n${this.stderr}`)
    })
    for (;;) {
      const match = pattern.exec(this.stderr) ?? pattern.exec(this.stdout)
      if (match) {
        over.catch(() => undefined)
        return match
      }
      const output = new Promise<void>((resolve) => (this.#onOutput = resolve))
      await Promise.race([output, over])
    }
  }

  /** The address of the first listener. */
  async listening(): Promise<string> {
    return (await this.match(/listening on (\S+)/))[1]!
  }
}

/** What a program is started with, besides its arguments. */
export interface ProgramOptions {
  /** A module that Node loads before it. Default: none. */
  readonly preload?: string
  /** How many descriptors it may have. Default: as many as the test. */
  readonly maxDescriptors?: number
  /** Commands of the shell that becomes the program, such as `export X=$$`. Default: no shell. */
  readonly shell?: string
  /** More variables of its environment. Default: none. */
  readonly variables?: Readonly<Record<string, string>>
  /** Descriptors that it gets as 3, 4 and so on. Default: none. */
  readonly descriptors?: readonly number[]
}

/** Starts `file`, a path beside this one, such as `../../src/cli/main.js`. */
export function runProgram(
  t: TestContext,
  file: string,
  args: readonly string[] = [],
  options: ProgramOptions = {},
): Program {
  const { preload, maxDescriptors, variables, descriptors = [] } = options
  const path = fileURLToPath(new URL(file, import.meta.url))
  const env = { ...process.env, PINGORA_LOG: 'info', ...variables }
  const flags = preload === undefined ? [] : ['--import', preload]
  const command = [process.execPath, ...flags, path, ...args]
  const shell = maxDescriptors === undefined ? options.shell : `ulimit -n ${maxDescriptors}`
  if (shell !== undefined) command.unshift('sh', '-c', `${shell}; exec "$0" "$@"`)
  const stdio = ['ignore', 'pipe', 'pipe', ...descriptors] as const
  const child = spawn(command[0]!, command.slice(1), { env, stdio: [...stdio] })
  const program = new Program(child)
  t.after(async () => {
    child.kill('SIGKILL')
    await program.ended
  })
  return program
}

/** Starts the `pingora` command. */
export function runCommand(
  t: TestContext,
  args: readonly string[],
  options?: ProgramOptions,
): Program {
  return runProgram(t, '../../src/cli/main.js', args, options)
}
