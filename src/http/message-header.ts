/** What request and response heads have in common: their fields. */
import { HeaderMap } from './header-map.js'

/** A head with fields, under Pingora's names for reading and changing them. */
export class MessageHeader {
  /** The fields. */
  readonly headers: HeaderMap

  constructor(headers: HeaderMap = new HeaderMap()) {
    this.headers = headers
  }

  /** The first value of a field, or `undefined`. */
  getHeader(name: string): string | undefined {
    return this.headers.get(name)
  }

  /** Replaces all values of a field. @throws {@link ProxyError} `PGR_OPTION_INVALID`. */
  insertHeader(name: string, value: string): void {
    this.headers.set(name, value)
  }

  /** Adds a value to a field. @throws {@link ProxyError} `PGR_OPTION_INVALID`. */
  appendHeader(name: string, value: string): void {
    this.headers.append(name, value)
  }

  /** Removes a field; returns whether it was there. */
  removeHeader(name: string): boolean {
    return this.headers.remove(name)
  }
}
