/** What is told of bytes that came in place of a request, whatever protocol carried them. */
import type { ProxyError } from '../error/index.js'
import type { ConnectionDigest } from '../transport/index.js'
import type { H1ServerOptions } from './h1-server-options.js'

/** Counts and logs what was refused with `error`; at level `debug`, for clients can do it at will. */
export function reportRefusal(
  { counters, logger }: H1ServerOptions,
  { peerAddress }: ConnectionDigest,
  error: ProxyError,
): void {
  counters.add('requestsRefused')
  counters.addError(error.code)
  logger.debug('request refused', {
    client: peerAddress,
    code: error.code,
    reason: error.message,
  })
}
