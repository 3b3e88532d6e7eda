/** The one error type of the project: a stable code, a side, a retry decision and a cause. */
import { ERROR_CODES } from './codes.js'
import type { ErrorCode, ErrorCodeEntry, ErrorSource, RetryDecision } from './codes.js'

/** What may be said about an error besides its code and its text. */
export interface ProxyErrorOptions {
  /** What led to it. */
  readonly cause?: unknown
  /** Status of the error response, 400 to 599. Default: the table's. */
  readonly status?: number
  /** Whether another attempt may be made. Default: `no`. */
  readonly retry?: RetryDecision
  /** Where it happened, short and without secrets, such as `peer 10.0.0.1:80`. Default: empty. */
  readonly context?: string
}

/** A failure with a stable `code`; branch on that, never on the text. */
export class ProxyError extends Error {
  override readonly name: string = 'ProxyError'
  /** The stable code. */
  readonly code: ErrorCode
  /** The side that failed. */
  readonly source: ErrorSource
  /** Status of the error response. */
  readonly status: number
  /** Where it happened; empty when nothing is known. */
  context: string
  /** Whether another attempt may be made; `failToConnect` and `errorWhileProxy` may set it. */
  retry: RetryDecision

  constructor(code: ErrorCode, message?: string, options: ProxyErrorOptions = {}) {
    const entry: ErrorCodeEntry = ERROR_CODES[code]
    super(message ?? entry.text, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.source = entry.source
    this.status = options.status ?? entry.status
    this.retry = options.retry ?? 'no'
    this.context = options.context ?? ''
  }

  /** An error that a hook throws to answer with `status`, such as 403. */
  static httpStatus(status: number, message?: string): ProxyError {
    return new ProxyError('PGR_HTTP_STATUS', message ?? `status ${status}`, { status })
  }
}

/** Makes a `ProxyError` of whatever was thrown; one that already is passes unchanged. */
export function toProxyError(thrown: unknown, code: ErrorCode): ProxyError {
  if (thrown instanceof ProxyError) return thrown
  return new ProxyError(code, describeThrown(thrown), { cause: thrown })
}

/** The message of anything that can be thrown. */
export function describeThrown(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message
  try {
    return String(thrown)
  } catch {
    return 'a value that has no text'
  }
}

/** Whether `error` or one of its causes has `code`. At most 16 causes are walked. */
export function causedBy(error: unknown, code: ErrorCode): boolean {
  return causes(error).some((cause) => cause instanceof ProxyError && cause.code === code)
}

/** The innermost cause of `error`. At most 16 causes are walked. */
export function rootCause(error: unknown): unknown {
  return causes(error).at(-1)
}

/** The error with all its causes, outermost first. */
function causes(error: unknown): unknown[] {
  const chain: unknown[] = []
  let current = error
  while (current !== undefined && chain.length < MAX_CAUSES) {
    chain.push(current)
    current = current instanceof Error ? current.cause : undefined
  }
  return chain
}

/** A cause chain may be a cycle; no honest one is this long. */
const MAX_CAUSES = 16
