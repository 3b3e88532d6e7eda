/** `pingora-ts/error`: the error type, the table of codes, and walkers over causes. */
export { ERROR_CODES } from './codes.js'
export type { ErrorCode, ErrorCodeEntry, ErrorSource, RetryDecision } from './codes.js'
export { ProxyError, causedBy, describeThrown, rootCause, toProxyError } from './proxy-error.js'
export type { ProxyErrorOptions } from './proxy-error.js'
export { intInRange } from './option-checks.js'
