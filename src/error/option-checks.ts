/** Checks of option values, so that each field's name and bounds are written once. */
import { ProxyError } from './proxy-error.js'

/**
 * Returns `value` when it is an integer from `min` to `max`.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` otherwise.
 */
export function intInRange(name: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new ProxyError('PGR_OPTION_INVALID', `${name}: integer ${min} to ${max}, got ${value}`)
  }
  return value
}
