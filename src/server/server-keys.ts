/** The server's keys in a configuration file: which exist, what fits, and which do nothing here. */
import { isIPv4, isIPv6 } from 'node:net'
import type { z } from 'zod'
import {
  booleanField,
  choiceField,
  field,
  integerField,
  readCertificates,
  secondsField,
  textField,
  zod,
} from '../configuration/index.js'
import { LOG_LEVELS } from '../observability/index.js'
import type { LogLevel } from '../observability/index.js'
import { ACCEPT_MODES } from './workers/accept-mode.js'
import type { AcceptMode } from './workers/accept-mode.js'

/** The server's keys as they stand in a file; all may be absent. */
export interface ServerKeys {
  readonly version?: number | undefined
  readonly daemon?: boolean | undefined
  readonly user?: string | undefined
  readonly group?: string | undefined
  readonly working_directory?: string | undefined
  readonly daemon_ready_timeout_seconds?: number | undefined
  readonly threads?: number | undefined
  readonly accept?: AcceptMode | undefined
  readonly log_level?: LogLevel | undefined
  readonly error_log?: string | undefined
  readonly pid_file?: string | undefined
  readonly upgrade_sock?: string | undefined
  readonly upgrade_sock_connect_accept_max_retries?: number | undefined
  readonly ca_file?: string | undefined
  readonly grace_period_seconds?: number | undefined
  readonly max_retries?: number | undefined
  readonly upstream_debug_ssl_keylog?: boolean | undefined
  readonly upstream_keepalive_pool_size?: number | undefined
  readonly client_bind_to_ipv4?: readonly string[] | undefined
  readonly client_bind_to_ipv6?: readonly string[] | undefined
}

/**
 * The schema of all keys. Other keys pass: they are the program's own.
 * @param resolvePath makes a path of the file absolute.
 */
export function serverKeysSchema(resolvePath: (path: string) => string): z.ZodType<ServerKeys> {
  const z = zod()
  const path = pathField(resolvePath).optional()
  return z.looseObject({
    version: integerField(0, MAX_COUNT).optional(),
    daemon: booleanField().optional(),
    user: textField('the name of a user').optional(),
    group: textField('the name of a group').optional(),
    working_directory: path,
    // Our launcher always waits; the key says to Pingora's that it should.
    daemon_wait_for_ready: booleanField().optional(),
    daemon_ready_timeout_seconds: secondsField(1).optional(),
    daemon_notify_timeout_seconds: secondsField(1).optional(),
    threads: threadsField().optional(),
    accept: choiceField(ACCEPT_MODES).optional(),
    log_level: choiceField(LOG_LEVELS).optional(),
    error_log: path,
    pid_file: path,
    upgrade_sock: path,
    upgrade_sock_connect_accept_max_retries: integerField(0, MAX_COUNT).optional(),
    ca_file: certificatesField(resolvePath).optional(),
    grace_period_seconds: secondsField().optional(),
    max_retries: integerField(1, MAX_COUNT).optional(),
    upstream_keepalive_pool_size: integerField(0, MAX_COUNT).optional(),
    client_bind_to_ipv4: z.array(ipField('IPv4', isIPv4)).optional(),
    client_bind_to_ipv6: z.array(ipField('IPv6', isIPv6)).optional(),
    upstream_debug_ssl_keylog: booleanField().optional(),
    ...Object.fromEntries(NO_EFFECT_KEYS.map((key) => [key, z.unknown().optional()])),
  })
}

/** Keys that tune Pingora's runtime or TLS library; ours has no such parts. */
export const NO_EFFECT_KEYS: readonly string[] = Object.freeze([
  'listener_tasks_per_fd',
  'work_stealing',
  's2n_config_cache_size',
  'graceful_shutdown_timeout_seconds',
  'upstream_connect_offload_threadpools',
  'upstream_connect_offload_thread_per_pool',
  'max_blocking_threads',
  'blocking_threads_ttl_seconds',
])

function threadsField(): z.ZodType<number> {
  return field(`an integer from 1 to ${MAX_THREADS}`, (value) => {
    const threads = typeof value === 'number' && Number.isInteger(value) ? value : 0
    return threads >= 1 && threads <= MAX_THREADS ? threads : undefined
  })
}

function pathField(resolvePath: (path: string) => string): z.ZodType<string> {
  return field('a path', (value) =>
    typeof value === 'string' && value !== '' && !value.includes('\0')
      ? resolvePath(value)
      : undefined,
  )
}

/** Read at once, so that a missing or damaged file is reported with the place of its key. */
function certificatesField(resolvePath: (path: string) => string): z.ZodType<string> {
  return field('the path of a PEM file', (value) => {
    if (typeof value !== 'string' || value === '') return undefined
    const path = resolvePath(value)
    readCertificates(path)
    return path
  })
}

function ipField(family: string, isFamily: (text: string) => boolean): z.ZodType<string> {
  return field(`an ${family} address`, (value) =>
    typeof value === 'string' && isFamily(value) ? value : undefined,
  )
}

const MAX_COUNT = 1_000_000
/** More serve no machine. */
export const MAX_THREADS = 256

/** Every key that the server knows. */
export function serverKeyNames(): string[] {
  return Object.keys((serverKeysSchema(String) as z.ZodObject).shape)
}
