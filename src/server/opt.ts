/** `Opt`: the command line flags common to every program built with the framework. */
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import type { ParseArgsConfig } from 'node:util'
import { describeThrown } from '../error/index.js'
import { exitWithUsage } from './exit.js'

/** Flags as values; {@link Opt} describes each. */
export type OptOptions = Partial<Pick<Opt, 'conf' | 'daemon' | 'upgrade' | 'test'>>

/** What the command line asks for. `new Opt()` asks for nothing and reads nothing. */
export class Opt {
  /** `-c`: the configuration file. Default: none. */
  readonly conf: string | undefined
  /** `-d`: run in the background; the file's `daemon: true` does the same. Default: false. */
  readonly daemon: boolean
  /** `-u`: take the listeners over from a running process. Default: false. */
  readonly upgrade: boolean
  /** `-t`: check configuration and services, and exit without listening. Default: false. */
  readonly test: boolean
  /**
   * Whether a command line was read. Then a failure belongs to whoever typed it: the server prints
   * the reason and ends the process, where it otherwise throws.
   */
  readonly fromCommandLine: boolean

  constructor(options: OptOptions = {}, fromCommandLine: boolean = false) {
    this.conf = options.conf
    this.daemon = options.daemon ?? false
    this.upgrade = options.upgrade ?? false
    this.test = options.test ?? false
    this.fromCommandLine = fromCommandLine
  }

  /**
   * Reads the flags. `-h` prints help and exits with 0; an unknown flag, an argument that is no flag,
   * and the flags that are not available yet print the usage and exit with 2.
   * @param args what follows the program's name. Default: that of the process.
   */
  static parseArgs(args: readonly string[] = process.argv.slice(2)): Opt {
    const usage = `Usage: ${programName()} ${COMMON_USAGE}`
    try {
      const { values } = parseArgs({ args: [...args], options: COMMON_FLAGS, strict: true })
      if (values.help) {
        process.stdout.write(`${usage}\n\n${COMMON_HELP}\n`)
        process.exit(0)
      }
      return optOf(values)
    } catch (thrown) {
      exitWithUsage(usageProblem(thrown), usage)
    }
  }
}

/**
 * The options of the common flags, as read from a command line by `node:util`'s `parseArgs`.
 * @throws Error for flags that are not available yet.
 */
export function optOf(flags: CommonFlagValues): Opt {
  return new Opt(
    {
      ...(flags.conf !== undefined && { conf: flags.conf }),
      daemon: flags.daemon ?? false,
      test: flags.test ?? false,
      upgrade: flags.upgrade ?? false,
    },
    true,
  )
}

/** What `parseArgs` complains of, without its advice about unusual arguments. */
export function usageProblem(thrown: unknown): string {
  return describeThrown(thrown).split('. ', 1)[0]!
}

/** What `parseArgs` returns for {@link COMMON_FLAGS}. */
export interface CommonFlagValues {
  readonly conf?: string | undefined
  readonly daemon?: boolean | undefined
  readonly upgrade?: boolean | undefined
  readonly test?: boolean | undefined
  readonly help?: boolean | undefined
}

/** The common flags, for programs that add their own to them. */
export const COMMON_FLAGS: {
  readonly conf: { readonly type: 'string'; readonly short: 'c' }
  readonly daemon: { readonly type: 'boolean'; readonly short: 'd' }
  readonly upgrade: { readonly type: 'boolean'; readonly short: 'u' }
  readonly test: { readonly type: 'boolean'; readonly short: 't' }
  readonly help: { readonly type: 'boolean'; readonly short: 'h' }
} = Object.freeze({
  conf: { type: 'string', short: 'c' },
  daemon: { type: 'boolean', short: 'd' },
  upgrade: { type: 'boolean', short: 'u' },
  test: { type: 'boolean', short: 't' },
  help: { type: 'boolean', short: 'h' },
} as const) satisfies NonNullable<ParseArgsConfig['options']>

/** The common flags in one line. */
export const COMMON_USAGE = '[-c FILE] [-t] [-d] [-u] [-h]'

/** The common flags with their meaning. */
export const COMMON_HELP: string = [
  '  -c, --conf FILE   configuration file (YAML)',
  '  -t, --test        check the configuration and everything it names, and exit',
  '  -d, --daemon      run in the background',
  '  -u, --upgrade     take over the listeners of a running process',
  '  -h, --help        print this help',
].join('\n')

/** The name that the program was started by. */
export function programName(): string {
  return basename(process.argv[1] ?? 'pingora')
}
