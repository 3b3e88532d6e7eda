/** `pingora-ts/http`: header map, request and response heads, status codes, dates. */
export { HttpDate } from './date.js'
export { HeaderMap, isFieldValue, isToken, lowerCaseName } from './header-map.js'
export type { KnownFields } from './header-map.js'
export type { MessageHeader } from './message-header.js'
export { RequestHeader } from './request-header.js'
export type { HttpVersion } from './request-header.js'
export { ResponseHeader } from './response-header.js'
export { hasNoBody, reasonPhrase } from './status.js'
