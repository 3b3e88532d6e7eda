/** What all HTTP/2 connections of a service share: what HTTP/1 ones do, and HTTP/2's own limits. */
import type { H1ServerOptions } from '../h1-server-options.js'

/** Limits of each HTTP/2 connection of a client. */
export interface H2Limits {
  /** Requests that may be in progress at once. Default: 128. */
  readonly maxConcurrentStreams: number
  /** Body bytes that a client may send ahead, for each request, before they are read. Default: 262144. */
  readonly initialWindowBytes: number
  /** Requests that a client may break off, or have broken off by mistakes, in a row. Default: 200. */
  readonly resetBurst: number
  /** How many more of them it may each second, in the long run. Default: 20. */
  readonly resetsPerSecond: number
  /** Pings and SETTINGS that may come in a row, with nothing in between that is worth its frames. Default: 1000. */
  readonly idleFrameBurst: number
  /** How many more of them may come each second, in the long run. Default: 20. */
  readonly idleFramesPerSecond: number
  /**
   * Bytes that may come at once and carry nothing: frames that Node does not tell of, such as
   * WINDOW_UPDATE and PRIORITY. As many as the bodies have, both ways, come on top, and some for each
   * request. It is looked at once a second. Default: 1048576.
   */
  readonly overheadBurstBytes: number
  /** How many more of them may come each second, in the long run. Default: 262144. */
  readonly overheadBytesPerSecond: number
}

/** The defaults. */
export const H2_LIMITS: H2Limits = Object.freeze({
  maxConcurrentStreams: 128,
  initialWindowBytes: 262_144,
  resetBurst: 200,
  resetsPerSecond: 20,
  idleFrameBurst: 1_000,
  idleFramesPerSecond: 20,
  overheadBurstBytes: 1_048_576,
  overheadBytesPerSecond: 262_144,
})

/** What all HTTP/2 connections of a service share. */
export interface H2ServerOptions extends H1ServerOptions {
  /** HTTP/2's own limits. */
  readonly http2: H2Limits
}
