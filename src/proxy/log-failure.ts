/** The one place where a failure becomes a log line. */
import { describeThrown, rootCause } from '../error/index.js'
import type { ProxyError } from '../error/index.js'
import type { LogFields, Logger } from '../observability/index.js'
import type { Hooks } from './hooks.js'
import type { Session } from './session.js'

/** Logs why a request failed: which request, which peer, why. Failures of clients are no errors of ours. */
export function logFailure<Ctx>(
  hooks: Hooks<Ctx>,
  logger: Logger,
  session: Session,
  ctx: Ctx,
  error: ProxyError,
): void {
  try {
    if (hooks.suppressErrorLog?.(session, ctx, error) === true) return
    const request = hooks.requestSummary?.(session, ctx) ?? defaultSummary(session)
    const fields = failureFields(session, error, request)
    // Clients leave all the time; that is news for nobody who did not ask for details.
    if (error.code === 'PGR_DOWNSTREAM_CLOSED') logger.debug('request failed', fields)
    else if (error.status < 500) logger.info('request failed', fields)
    else logger.error('request failed', fields)
  } catch (thrown) {
    logger.error('a hook failed while a failure was logged', { reason: describeThrown(thrown) })
  }
}

function failureFields(session: Session, error: ProxyError, request: string): LogFields {
  const cause = rootCause(error)
  return {
    request,
    client: session.clientAddress,
    code: error.code,
    status: error.status,
    peer: session.attempts.at(-1)?.peer.address,
    attempts: session.attempts.length,
    reason: error.message,
    cause: cause === error ? undefined : describeThrown(cause),
  }
}

/** Method, path and Host, as Pingora shows a request; the query may hold secrets and stays out. */
function defaultSummary(session: Session): string {
  const { method, path } = session.reqHeader
  return `${method} ${path}, Host: ${session.getHeader('host') ?? ''}`
}
