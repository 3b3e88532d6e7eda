/** The kinds of load that every program of a run gets. */

/** The name of a scenario as `--scenario` takes it. */
export type ScenarioName =
  'small' | '64k' | '1m' | 'close' | 'tls' | 'tls-full' | 'tls-resumed' | 'h2c' | 'h2'

export interface Scenario {
  readonly name: ScenarioName
  readonly title: string
  /** What the backend serves there. */
  readonly path: string
  readonly bodyBytes: number
  /** Connections the load generator keeps busy at once. */
  readonly connections: number
  /** Whether each request asks for `Connection: close`. */
  readonly closes: boolean
  /** Whether clients speak TLS, and then whether those that come back resume their sessions. */
  readonly tls: false | 'full' | 'resumed'
  /** Requests at once on each connection of HTTP/2; 0: HTTP/1.1, one after the other. */
  readonly streams: number
  /** Rounds when `--rounds` does not say. */
  readonly rounds: number
  /** After so many rounds all programs are started anew. Default: after none. */
  readonly roundsPerStart?: number
}

/** The body of the small scenarios. */
export const SMALL_BODY = 'hello world\n'

/** Whether a body is no longer than {@link SMALL_BODY}. */
export function isSmall(bodyBytes: number): boolean {
  return bodyBytes <= SMALL_BODY.length
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'small',
    title: 'small GET, keep-alive, 12-byte body, 64 connections',
    path: '/small',
    bodyBytes: SMALL_BODY.length,
    connections: 64,
    closes: false,
    tls: false,
    streams: 0,
    // The scenario that decides: more rounds, so that its median rests on more than three values.
    rounds: 6,
    // Node compiles each process a little differently, for better or worse: no single one decides.
    roundsPerStart: 2,
  },
  {
    name: '64k',
    title: '64 KiB body, keep-alive, 32 connections',
    path: '/64k',
    bodyBytes: 64 * 1024,
    connections: 32,
    closes: false,
    tls: false,
    streams: 0,
    rounds: 3,
  },
  {
    name: '1m',
    title: '1 MiB body, keep-alive, 16 connections',
    path: '/1m',
    bodyBytes: 1024 * 1024,
    connections: 16,
    closes: false,
    tls: false,
    streams: 0,
    rounds: 3,
  },
  {
    name: 'close',
    title: 'small GET, Connection: close, 12-byte body, 64 connections',
    path: '/small',
    bodyBytes: SMALL_BODY.length,
    connections: 64,
    closes: true,
    tls: false,
    streams: 0,
    rounds: 3,
  },
  {
    name: 'tls',
    title: 'TLS: small GET, keep-alive, 12-byte body, 64 connections',
    path: '/small',
    bodyBytes: SMALL_BODY.length,
    connections: 64,
    closes: false,
    tls: 'full',
    streams: 0,
    rounds: 3,
  },
  {
    name: 'tls-full',
    title: 'TLS: a full handshake for each small GET, 32 connections',
    path: '/small',
    bodyBytes: SMALL_BODY.length,
    connections: 32,
    closes: true,
    tls: 'full',
    streams: 0,
    rounds: 3,
  },
  {
    name: 'tls-resumed',
    title: 'TLS: a resumed session for each small GET, 32 connections',
    path: '/small',
    bodyBytes: SMALL_BODY.length,
    connections: 32,
    closes: true,
    tls: 'resumed',
    streams: 0,
    rounds: 3,
  },
  {
    name: 'h2c',
    title: 'HTTP/2 in the clear: small GET, 12-byte body, 16 connections, 8 streams each',
    path: '/small',
    bodyBytes: SMALL_BODY.length,
    connections: 16,
    closes: false,
    tls: false,
    streams: 8,
    rounds: 3,
  },
  {
    name: 'h2',
    title: 'HTTP/2 over TLS: small GET, 12-byte body, 16 connections, 8 streams each',
    path: '/small',
    bodyBytes: SMALL_BODY.length,
    connections: 16,
    closes: false,
    tls: 'full',
    streams: 8,
    rounds: 3,
  },
]
