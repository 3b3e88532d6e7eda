/** Trailer sections (RFC 9112 §7.1.2), without the fields that must not come so late. */
import { ProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import type { HeaderMap } from '../../http/index.js'
import { HeadFacts } from './head-facts.js'
import { latin1Text } from './latin1.js'
import { parseFields } from './parse-fields.js'

/**
 * Parses the trailer section in `buffer[start, end)`, empty line included. Fields that frame, route,
 * authorise or describe the content are dropped (RFC 9110 §6.5.1): by then they were acted on.
 * Returns `null` when none is left. @throws {@link ProxyError} `invalidCode`.
 */
export function parseTrailers(
  buffer: Buffer,
  start: number,
  end: number,
  invalidCode: ErrorCode,
): HeaderMap | null {
  const text = latin1Text(buffer, start, end)
  const codes = { limitCode: invalidCode, invalidCode }
  const facts = new HeadFacts(buffer, text, start, codes)
  if (!parseFields(facts, start, MAX_TRAILERS)) throw new ProxyError(invalidCode)
  const headers = facts.makeHeaders()
  for (const name of FORBIDDEN_IN_TRAILERS) headers.remove(name)
  return headers.size === 0 ? null : headers
}

const MAX_TRAILERS = 128
/** Fields that say something that was acted on before they come (RFC 9110 §6.5.1), in lower case. */
export const FORBIDDEN_IN_TRAILERS: readonly string[] = [
  'content-length',
  'host',
  'expect',
  'trailer',
  'cache-control',
  'max-forwards',
  'range',
  'authorization',
  'cookie',
  'set-cookie',
  'www-authenticate',
  'content-encoding',
  'content-type',
  'content-range',
  'age',
  'date',
  'expires',
  'location',
  'retry-after',
  'vary',
  'warning',
]
