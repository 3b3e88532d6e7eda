/** The HTTP/1 codec: heads, bodies and trailers; pure, byte-fed, both directions. */
export { BodyDecoder } from './body-decoder.js'
export type { BodyCodes } from './body-decoder.js'
export { CHUNKED, TUNNEL, UNTIL_CLOSE } from './head-facts.js'
export type { BodyLength } from './head-facts.js'
export { HeadReader } from './head-reader.js'
export type { ParseHead } from './head-reader.js'
export { latin1Text } from './latin1.js'
export { FORBIDDEN_IN_TRAILERS } from './parse-trailers.js'
export { REQUEST_LIMITS, parseRequestHead, requestSectionLimits } from './request-head.js'
export type { RequestHead, RequestLimits } from './request-head.js'
export { HeadMemory } from './head-memory.js'
export {
  MAX_INTERIM_RESPONSES,
  RESPONSE_SECTION_LIMITS,
  isTunnelAnswer,
  parseResponseHead,
} from './response-head.js'
export type { ResponseHead } from './response-head.js'
export { NEED_MORE, SectionReader } from './section-reader.js'
export type { SectionLimits } from './section-reader.js'
export { isGranted } from './upgrade-protocols.js'
export {
  CHUNK_END,
  chunkStart,
  declaredLength,
  lastChunk,
  writeRequestHead,
  writeResponseHead,
} from './write-message.js'
export type { ConnectionOption } from './write-message.js'
