/** What the command line says: which command, with which settings. */
import { parseArgs } from 'node:util'
import type { ParseArgsConfig } from 'node:util'
import { BALANCER_DEFAULTS, defaultSettings, hostHeaderOf } from '../balancer/index.js'
import type { BackendSettings, BalancerSettings, UpstreamTls } from '../balancer/index.js'
import { nearestName } from '../configuration/index.js'
import { ProxyError } from '../error/index.js'
import { COMMON_FLAGS, MAX_THREADS, optOf } from '../server/internal.js'
import type { CommonFlagValues } from '../server/internal.js'
import type { Opt } from '../server/index.js'
import { parseSocketAddress } from '../transport/index.js'
import { parseTarget } from './target.js'
import type { Target } from './target.js'
import { UsageError } from './usage.js'

/** A command with everything that it needs. */
export type Command =
  | { readonly name: 'help' | 'version' }
  | { readonly name: 'run'; readonly opt: Opt; readonly file: string }
  | {
      readonly name: 'proxy'
      readonly opt: Opt
      readonly settings: BalancerSettings
      /** In place of the file's. */
      readonly threads: number | undefined
    }
  | { readonly name: 'demo' }

/**
 * Reads the arguments that follow the program's name.
 * @throws {@link UsageError} for whatever cannot be understood or is not available yet.
 */
export function parseCommandLine(args: readonly string[]): Command {
  const [first = ''] = args
  if (first === '') throw new UsageError('a command is missing')
  // Without a command the flags are those of `run`.
  if (first.startsWith('-')) return parseRun(args)
  const rest = args.slice(1)
  if (first === 'run') return parseRun(rest)
  if (first === 'proxy') return parseProxy(rest)
  if (first === 'demo') return parseDemo(rest)
  const nearest = nearestName(first, COMMANDS)
  const hint =
    nearest === undefined ? `expected one of ${COMMANDS.join(', ')}` : `did you mean ${nearest}?`
  throw new UsageError(`unknown command ${JSON.stringify(first)}; ${hint}`)
}

function parseRun(args: readonly string[]): Command {
  const flags = parseFlags(args, RUN_FLAGS)
  const early = helpOrVersion(flags)
  if (early) return early
  const opt = optOf(flags)
  if (opt.conf === undefined)
    throw new UsageError('-c FILE is missing: run needs a configuration file')
  return { name: 'run', opt, file: opt.conf }
}

function parseDemo(args: readonly string[]): Command {
  return helpOrVersion(parseFlags(args, DEMO_FLAGS)) ?? { name: 'demo' }
}

function parseProxy(args: readonly string[]): Command {
  const flags = parseFlags(args, PROXY_FLAGS)
  const early = helpOrVersion(flags)
  if (early) return early
  if (flags.cache !== undefined) throw new UsageError('--cache: not available yet')
  const { backends, tls, protocol } = parseTargets(flags.to ?? [], flags.sni)
  const listeners = (flags.listen ?? [DEFAULT_LISTENER]).map(listenAddress)
  const settings = defaultSettings(listeners, {
    name: 'upstream',
    backends,
    balance: parseBalance(flags.balance ?? 'round_robin'),
    hostHeader: hostHeaderOf(flags['host-header']),
    protocol,
    tls,
    healthCheck: parseHealthCheck(flags['health-check']),
  })
  return { name: 'proxy', opt: optOf(flags), settings, threads: parseThreads(flags.threads) }
}

/** Reads flags by name; anything else than flags is refused. */
function parseFlags<T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
): ReturnType<typeof parseArgs<{ args: string[]; options: T; strict: true }>>['values'] {
  return parseArgs({ args: [...args], options, strict: true }).values
}

function helpOrVersion(
  flags: CommonFlagValues & { readonly version?: boolean },
): Command | undefined {
  if (flags.help) return { name: 'help' }
  return flags.version ? { name: 'version' } : undefined
}

function parseThreads(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const threads = /^[1-9]\d{0,2}$/.test(text) ? Number(text) : 0
  if (threads >= 1 && threads <= MAX_THREADS) return threads
  const expected = `expected an integer from 1 to ${MAX_THREADS}`
  throw new UsageError(`--threads: got ${JSON.stringify(text)}; ${expected}`)
}

function parseTargets(
  texts: readonly string[],
  sni: string | undefined,
): {
  backends: BackendSettings[]
  tls: UpstreamTls | undefined
  protocol: Target['protocol']
} {
  if (texts.length === 0)
    throw new UsageError('--to URL is missing: proxy needs a server to send requests to')
  const targets = texts.map(parseTarget)
  const { tls = false, protocol = 'http1' } = targets[0] ?? {}
  if (targets.some((target) => target.tls !== tls || target.protocol !== protocol)) {
    throw new UsageError('--to: http, https and h2c cannot be mixed')
  }
  if (!tls && sni !== undefined) throw new UsageError('--sni: only with --to https://…')
  return {
    backends: targets.map(({ address }) => ({ address, weight: 1 })),
    protocol,
    tls: tls ? { sni, verify: true, ca: undefined, identity: undefined } : undefined,
  }
}

function parseBalance(text: string): 'round_robin' | 'random' {
  if (text === 'round_robin' || text === 'random') return text
  if (LATER_BALANCE.includes(text)) throw new UsageError(`--balance ${text}: not available yet`)
  throw new UsageError(`--balance: got ${JSON.stringify(text)}; expected round_robin or random`)
}

function parseHealthCheck(text: string | undefined): BalancerSettings['upstream']['healthCheck'] {
  if (text === undefined) return undefined
  if (text === 'tcp') return BALANCER_DEFAULTS.healthCheck
  if (text === 'http' || text.startsWith('http:')) {
    throw new UsageError(`--health-check ${text}: not available yet`)
  }
  throw new UsageError(`--health-check: got ${JSON.stringify(text)}; expected tcp`)
}

function listenAddress(text: string): string {
  try {
    parseSocketAddress(text)
    return text
  } catch (thrown) {
    throw thrown instanceof ProxyError ? new UsageError(`--listen: ${thrown.message}`) : thrown
  }
}

/** What `npm start` and the quick start listen on. */
export const DEFAULT_LISTENER = '127.0.0.1:6188'

const COMMANDS: readonly string[] = ['run', 'proxy', 'demo']
const LATER_BALANCE: readonly string[] = [
  'fnv_hash',
  'consistent',
  'least_connections',
  'least_requests',
  'peak_ewma',
]
const DEMO_FLAGS = { help: COMMON_FLAGS.help, version: { type: 'boolean' } } as const
const RUN_FLAGS = { ...COMMON_FLAGS, version: { type: 'boolean' } } as const
const PROXY_FLAGS = {
  ...RUN_FLAGS,
  to: { type: 'string', multiple: true },
  listen: { type: 'string', multiple: true },
  balance: { type: 'string' },
  'health-check': { type: 'string' },
  threads: { type: 'string' },
  'host-header': { type: 'string' },
  sni: { type: 'string' },
  cache: { type: 'string' },
} as const
