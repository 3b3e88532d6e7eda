/** `ServerConf`: Pingora's configuration keys, typed, with their defaults. */
import { resolve } from 'node:path'
import {
  ConfigDocument,
  nearestName,
  readCertificates,
  throwProblems,
  validateDocument,
  validateValue,
} from '../configuration/index.js'
import type { ConfigProblem } from '../configuration/index.js'
import { ProxyError } from '../error/index.js'
import type { LogLevel } from '../observability/index.js'
import { NO_EFFECT_KEYS, serverKeyNames, serverKeysSchema } from './server-keys.js'
import type { ServerKeys } from './server-keys.js'
import type { AcceptMode } from './workers/accept-mode.js'

/** What can be given in code; each field is described at {@link ServerConf}. */
export type ServerConfOptions = Partial<
  Omit<ServerConf, 'ca' | 'upstreamKeyLogFile' | 'withThreads'>
>

/**
 * The settings of a server; frozen. In a file the keys are written in snake_case
 * (`grace_period_seconds`), all are optional, and paths are relative to the file.
 */
export class ServerConf {
  /** A marker; nothing depends on it. Default: 1. */
  readonly version: number
  /** Run in the background; the flag `-d` does the same. Default: false. */
  readonly daemon: boolean
  /** User that a daemon becomes when it listens, from `/etc/passwd`. Default: who started it. */
  readonly user: string | undefined
  /** Group that a daemon becomes, from `/etc/group`. Default: that of `user`. */
  readonly group: string | undefined
  /** Working directory of a daemon. Default: the one that it was started in. */
  readonly workingDirectory: string | undefined
  /** Longest time that a daemon may take until it serves, in seconds; at least 1. Default: 600. */
  readonly daemonReadyTimeoutSeconds: number
  /** Threads that serve, 1 to 256; with 1 the main thread does. Default: 1. */
  readonly threads: number
  /** How connections come to the threads, when they are more than one. Default: `deal`. */
  readonly accept: AcceptMode
  /** Log level; the variables `PINGORA_LOG` and `RUST_LOG` win over it. Default: `info`. */
  readonly logLevel: LogLevel
  /** Log file of a daemon, which is silent without; no effect in the foreground. Default: none. */
  readonly errorLog: string | undefined
  /** File for a daemon's process id; without effect in the foreground. Default: `/tmp/pingora.pid`. */
  readonly pidFile: string
  /** Unix socket over which listeners go to a new process. Default: `/tmp/pingora_upgrade.sock`. */
  readonly upgradeSock: string
  /** Seconds that the two processes of an upgrade wait for each other. Default: 5. */
  readonly upgradeSockConnectAcceptMaxRetries: number
  /** File of the certificates that upstream TLS trusts. Default: those that Node brings along. */
  readonly caFile: string | undefined
  /** The content of `caFile`, PEM. */
  readonly ca: string | undefined
  /** Longest time that requests in flight get after SIGTERM, in seconds. Default: 300. */
  readonly gracePeriodSeconds: number
  /** Attempts per request in all, the first included; 1 or more. Default: 16. */
  readonly maxRetries: number
  /** Idle upstream connections kept. Default: 128. */
  readonly upstreamKeepalivePoolSize: number
  /**
   * Whether the secrets of TLS to upstreams are added to the file that the variable `SSLKEYLOGFILE`
   * names: who can read it can decrypt them. Default: false.
   */
  readonly upstreamDebugSslKeylog: boolean
  /** That file; `undefined` when nothing is to be written. */
  readonly upstreamKeyLogFile: string | undefined
  /** Local IPv4 addresses to connect to upstreams from, one by chance. Default: none. */
  readonly clientBindToIpv4: readonly string[]
  /** The same for IPv6. Default: none. */
  readonly clientBindToIpv6: readonly string[]
  /** Top-level keys of the file that are not the server's: the program's own settings. */
  readonly extra: Readonly<Record<string, unknown>>
  /** What the log should say about the file: keys that are unknown or have no effect. */
  readonly warnings: readonly string[]

  /** @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` when a value does not fit. */
  constructor({ extra = {}, warnings = [], ...options }: ServerConfOptions = {}) {
    const keys = checkOptions(options)
    this.version = keys.version ?? 1
    this.daemon = keys.daemon ?? false
    this.user = keys.user
    this.group = keys.group
    this.workingDirectory = keys.working_directory
    this.daemonReadyTimeoutSeconds = keys.daemon_ready_timeout_seconds ?? 600
    this.threads = keys.threads ?? 1
    this.accept = keys.accept ?? 'deal'
    this.logLevel = keys.log_level ?? 'info'
    this.errorLog = keys.error_log
    this.pidFile = keys.pid_file ?? '/tmp/pingora.pid'
    this.upgradeSock = keys.upgrade_sock ?? '/tmp/pingora_upgrade.sock'
    this.upgradeSockConnectAcceptMaxRetries = keys.upgrade_sock_connect_accept_max_retries ?? 5
    this.caFile = keys.ca_file
    this.ca = keys.ca_file === undefined ? undefined : readCertificates(keys.ca_file)
    this.gracePeriodSeconds = keys.grace_period_seconds ?? 300
    this.maxRetries = keys.max_retries ?? 16
    this.upstreamKeepalivePoolSize = keys.upstream_keepalive_pool_size ?? 128
    this.upstreamDebugSslKeylog = keys.upstream_debug_ssl_keylog ?? false
    this.upstreamKeyLogFile = this.upstreamDebugSslKeylog ? process.env['SSLKEYLOGFILE'] : undefined
    this.clientBindToIpv4 = Object.freeze([...(keys.client_bind_to_ipv4 ?? [])])
    this.clientBindToIpv6 = Object.freeze([...(keys.client_bind_to_ipv6 ?? [])])
    this.extra = extra
    this.warnings = warnings
    Object.freeze(this)
  }

  /** The same settings with another number of threads. */
  withThreads(threads: number): ServerConf {
    return ServerConf.fromThread(Object.assign({}, this, { threads }))
  }

  /** The settings of another thread, as they came from there: checked already, files read already. */
  static fromThread(fields: object): ServerConf {
    return Object.freeze(Object.assign(Object.create(ServerConf.prototype) as ServerConf, fields))
  }

  /**
   * Reads YAML text.
   * @param file name for messages; paths in the text are relative to its folder. Default: the
   * working directory.
   * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` with every problem and its place.
   */
  static fromYaml(text: string, file?: string): ServerConf {
    return confOf(new ConfigDocument(text, file))
  }

  /**
   * Reads a YAML file.
   * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` with every problem and its place.
   */
  static load(path: string): ServerConf {
    return confOf(ConfigDocument.load(path))
  }

  /**
   * Reads the server's keys of a document that holds a program's own sections too, and adds what is
   * wrong to `problems`, so that the program can report everything at once.
   * @param ownKeys the program's top-level keys; others that the server does not know are warned of.
   * @returns `undefined` when something was wrong.
   */
  static read(
    document: ConfigDocument,
    problems: ConfigProblem[],
    ownKeys: readonly string[] = [],
  ): ServerConf | undefined {
    const schema = serverKeysSchema((path) => document.resolvePath(path))
    const keys = validateDocument(document, schema, problems)
    if (keys === undefined) return undefined
    const names = serverKeyNames()
    const others = Object.entries(document.value).filter(([key]) => !names.includes(key))
    return new ServerConf({
      ...camelCased(keys),
      extra: Object.fromEntries(others),
      warnings: warningsOf(document, ownKeys),
    })
  }
}

function confOf(document: ConfigDocument): ServerConf {
  const problems: ConfigProblem[] = []
  const conf = ServerConf.read(document, problems)
  throwProblems(problems)
  return conf ?? new ServerConf()
}

/** Unknown keys may be the program's own, so they are no error; but they may be typing errors too. */
function warningsOf(document: ConfigDocument, ownKeys: readonly string[]): string[] {
  const known = [...serverKeyNames(), ...ownKeys]
  const warnings: string[] = []
  for (const key of Object.keys(document.value)) {
    if (NO_EFFECT_KEYS.includes(key)) {
      warnings.push(document.problem([key], 'has no effect here', 'key').text)
    } else if (!known.includes(key)) {
      const nearest = nearestName(key, known)
      const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`
      warnings.push(document.problem([key], `unknown key, ignored${hint}`, 'key').text)
    }
  }
  return warnings
}

/** Options given in code pass the same checks as a file's keys. */
function checkOptions(options: Omit<ServerConfOptions, 'extra' | 'warnings'>): ServerKeys {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  const keys = Object.fromEntries(given.map(([name, value]) => [snakeCase(name), value]))
  // The defaults alone need no check, and so no program without a file waits for the libraries.
  if (given.length === 0) return {}
  const problems: string[] = []
  const known = serverKeyNames()
  for (const key of Object.keys(keys)) {
    if (!known.includes(key)) problems.push(`${key}: unknown key`)
  }
  const checked = validateValue(
    keys,
    serverKeysSchema((path) => resolve(path)),
    problems,
  )
  if (checked !== undefined && problems.length === 0) return checked
  throw new ProxyError('PGR_CONFIGURATION_INVALID', `ServerConf: ${problems.join('\n')}`)
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** The server's keys under the names of {@link ServerConfOptions}; the constructor checks them again. */
function camelCased(keys: ServerKeys): ServerConfOptions {
  const names = serverKeyNames()
  const own = Object.entries(keys).filter(([key]) => names.includes(key))
  return Object.fromEntries(own.map(([key, value]) => [camelCase(key), value as unknown]))
}

function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
