/** What request and response heads have in common: their fields. */
import type { HeaderMap } from './header-map.js'

/**
 * A head with fields, under Pingora's names for reading and changing them. No base class: heads are
 * made in every request, and a derived constructor costs three calls that compilers leave in.
 */
export interface MessageHeader {
  /** The fields. */
  readonly headers: HeaderMap
  /** The first value of a field, or `undefined`. */
  getHeader(name: string): string | undefined
  /** Replaces all values of a field. @throws {@link ProxyError} `PGR_OPTION_INVALID`. */
  insertHeader(name: string, value: string): void
  /** Adds a value to a field. @throws {@link ProxyError} `PGR_OPTION_INVALID`. */
  appendHeader(name: string, value: string): void
  /** Removes a field; returns whether it was there. */
  removeHeader(name: string): boolean
}
