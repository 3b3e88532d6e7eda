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
  const suppressed = tolerate(logger, () => hooks.suppressErrorLog?.(session, ctx, error))
  if (suppressed === true) return
  const request = tolerate(logger, () => hooks.requestSummary?.(session, ctx))
  const fields = failureFields(session, error, request ?? defaultSummary(session))
  // Clients leave all the time; that is news for nobody who did not ask for details.
  if (error.code === 'PGR_DOWNSTREAM_CLOSED') logger.debug('request failed', fields)
  else if (error.status < 500) logger.info('request failed', fields)
  else logger.error('request failed', fields)
}

/** What the hook says; a hook that throws says nothing, and must not cost us the line about the failure. */
function tolerate<T>(logger: Logger, hook: () => T): T | undefined {
  try {
    return hook()
  } catch (thrown) {
    logger.error('a hook failed while a failure was logged', { reason: describeThrown(thrown) })
    return undefined
  }
}

function failureFields(session: Session, error: ProxyError, request: string): LogFields {
  const cause = rootCause(error)
  return {
    id: session.requestId,
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
