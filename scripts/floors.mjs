/** The floors of the house as data: `ARCHITECTURE.md` explains them, `layering.mjs` enforces them. */

/** The facade `src/index.ts`: above all parts that it re-exports, below the command. */
export const FACADE = 'index.ts'

/** A part imports only parts of lower floors; parts on one floor do not see each other. */
export const FLOORS = {
  error: 0,
  time: 1,
  collections: 1,
  'shared-memory': 1,
  os: 1,
  http: 2,
  limits: 2,
  observability: 2,
  configuration: 2,
  protocols: 3,
  transport: 4,
  session: 5,
  'load-balancing': 6,
  cache: 6,
  modules: 6,
  server: 6,
  proxy: 7,
  balancer: 8,
  testing: 8,
  admin: 9,
  [FACADE]: 9.5,
  cli: 10,
}

/** The files through which a part is seen from above; the facade offers only what is public. */
export const DOORS = ['index.ts', 'internal.ts']

/** Parts that get bytes, strings or numbers and return the same: no socket, timer, clock or file. */
export const PURE_PARTS = ['error', 'collections', 'limits', 'protocols']

/** What a pure part must not import, with or without the prefix `node:`. */
export const IMPURE_MODULES = [
  'child_process',
  'cluster',
  'dgram',
  'fs',
  'fs/promises',
  'http',
  'http2',
  'https',
  'net',
  'perf_hooks',
  'readline',
  'stream',
  'stream/promises',
  'timers',
  'timers/promises',
  'tls',
  'worker_threads',
]

/** Modules that exactly one part may know, so that it can be replaced there. */
export const ONLY_IN = { http2: 'session' }
