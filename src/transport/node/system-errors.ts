/** What the system's errors of dialling, listening and resolving become. */
import { getSystemErrorMap } from 'node:util'
import { ProxyError, describeThrown } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'

/** The error of an attempt to connect to `address`. */
export function dialError(address: string, cause: unknown): ProxyError {
  return new ProxyError(dialCode(cause), `connect ${address}: ${reason(cause)}`, { cause })
}

/** The error of an attempt to listen on `address`. */
export function listenError(address: string, cause: unknown): ProxyError {
  return new ProxyError('PGR_LISTEN_FAILED', `listen ${address}: ${reason(cause)}`, { cause })
}

/** The error of an attempt to resolve `name`. */
export function resolveError(name: string, cause: unknown): ProxyError {
  return new ProxyError('PGR_RESOLVE_FAILED', `resolve ${name}: ${resolveReason(cause)}`, { cause })
}

/** The system's own words for an error, such as `address already in use`. */
export function reason(cause: unknown): string {
  const errno = field(cause, 'errno')
  const known = typeof errno === 'number' ? getSystemErrorMap().get(errno) : undefined
  return known ? known[1] : describeThrown(cause)
}

function dialCode(cause: unknown): ErrorCode {
  if (field(cause, 'syscall') === 'bind') return 'PGR_BIND_FAILED'
  return DIAL_CODES.get(field(cause, 'code')) ?? 'PGR_CONNECT_FAILED'
}

function resolveReason(cause: unknown): string {
  return RESOLVE_REASONS.get(field(cause, 'code')) ?? reason(cause)
}

function field(cause: unknown, name: 'code' | 'errno' | 'syscall'): unknown {
  return cause instanceof Error ? (cause as NodeJS.ErrnoException)[name] : undefined
}

const DIAL_CODES: ReadonlyMap<unknown, ErrorCode> = new Map<unknown, ErrorCode>([
  ['ECONNREFUSED', 'PGR_CONNECT_REFUSED'],
  // A unix socket whose file is gone: nobody serves there.
  ['ENOENT', 'PGR_CONNECT_REFUSED'],
  ['ETIMEDOUT', 'PGR_CONNECT_TIMEOUT'],
  ['ENETUNREACH', 'PGR_CONNECT_NO_ROUTE'],
  ['EHOSTUNREACH', 'PGR_CONNECT_NO_ROUTE'],
  ['EADDRNOTAVAIL', 'PGR_BIND_FAILED'],
  ['ERR_INVALID_IP_ADDRESS', 'PGR_BIND_FAILED'],
])

const RESOLVE_REASONS: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  ['ENOTFOUND', 'no such name'],
  ['EAI_AGAIN', 'the name server did not answer'],
])
