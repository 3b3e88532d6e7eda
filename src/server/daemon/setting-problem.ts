/** What is said of a setting that only shows to be wrong when the daemon uses it. */
import { getSystemErrorMap } from 'node:util'
import { ProxyError, describeThrown } from '../../error/index.js'

/** An error whose text begins with the key, as that of a value that does not fit. */
export function settingProblem(key: string, problem: string, cause?: unknown): ProxyError {
  return new ProxyError('PGR_CONFIGURATION_INVALID', `${key}: ${problem}`, { cause })
}

/** Runs `step`; what the system has against it is said of `key`. */
export function withSetting<T>(key: string, problem: string, step: () => T): T {
  try {
    return step()
  } catch (thrown) {
    throw settingProblem(key, `${problem}: ${systemReason(thrown)}`, thrown)
  }
}

/** The system's words for an error, such as `permission denied`, without the call and the path. */
export function systemReason(thrown: unknown): string {
  const number = thrown instanceof Error && 'errno' in thrown ? thrown.errno : undefined
  // Calls such as `setuid` have the number as C has it, all others its negative.
  const known = typeof number === 'number' ? getSystemErrorMap().get(-Math.abs(number)) : undefined
  return known?.[1] ?? describeThrown(thrown)
}
