/** The proxies that are compared: how each is configured, started, and which of its processes count. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DEMO_CERTIFICATE, DEMO_KEY } from '../src/cli/demo/demo-certificate.js'
import type { Child, Children } from './children.js'
import { PROXY_CORE, findProgram, freePort, packageVersion, versionOf } from './machine.js'
import { nginxConfiguration } from './nginx-configuration.js'
import { childrenOf } from './process-usage.js'
import type { Scenario } from './scenarios.js'

/** The name of a program as `--only` takes it. */
export type ContenderName = 'ours' | 'nginx' | 'haproxy' | 'http-proxy' | 'httpxy' | 'fast-proxy'

export interface Contender {
  readonly name: ContenderName
  /** Undefined when the program is not installed; such a program is left out and named. */
  readonly version: string | undefined
  /** Whether it is a Node peer from npm, which our requests/s are compared with. */
  readonly fromNpm: boolean
  /** Whether it takes part in scenarios with TLS or HTTP/2. */
  readonly speaksMore: boolean
  /**
   * The command that listens on `port` and forwards to `backend`; files go below `directory`.
   */
  command(port: number, backend: string, directory: string, clients: Clients): readonly string[]
  /** The processes that do the work: an nginx master only watches its workers. */
  measuredPids(pid: number): readonly number[]
}

/** How clients are served. */
export interface Clients {
  /** `null`: in the clear. */
  readonly tls: TlsFiles | null
  /** Whether they speak HTTP/2. */
  readonly http2: boolean
}

/** Paths of a certificate and its key. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

/** Where things are; {@link listContenders} needs it before anything starts. */
export interface Places {
  /** The root of the package. */
  readonly root: string
  /** The compiled programs of `bench/programs`. */
  readonly programs: string
  /** What to run as "ours". */
  readonly ours: string
}

export function listContenders(places: Places): readonly Contender[] {
  return [ours(places), nginx(), haproxy(), ...NPM_PEERS.map((name) => npmPeer(name, places))]
}

/** A started proxy. */
export interface RunningProxy {
  readonly contender: Contender
  readonly child: Child
  readonly port: number
  /** From the start of the process to the first accepted connection. */
  readonly startMs: number
}

/** Starts a proxy on its core and waits until it listens. */
export async function startProxy(
  children: Children,
  contender: Contender,
  backend: string,
  { tls, streams }: Pick<Scenario, 'tls' | 'streams'> = { tls: false, streams: 0 },
): Promise<RunningProxy> {
  const port = await freePort()
  const directory = join(children.directory, `${contender.name}-${port}`)
  mkdirSync(directory)
  const clients = { tls: tls === false ? null : writeCertificate(directory), http2: streams > 0 }
  const command = contender.command(port, backend, directory, clients)
  const begun = performance.now()
  const child = children.start(contender.name, PROXY_CORE, command)
  await child.listening(port)
  return { contender, child, port, startMs: performance.now() - begun }
}

/** The demo's: made for nothing else, and any will do. */
function writeCertificate(directory: string): TlsFiles {
  const files = { cert: join(directory, 'bench.crt'), key: join(directory, 'bench.key') }
  writeFileSync(files.cert, DEMO_CERTIFICATE)
  writeFileSync(files.key, DEMO_KEY)
  return files
}

function ours(places: Places): Contender {
  const own = places.ours === join(places.programs, 'ours.js')
  const version = existsSync(places.ours) ? (own ? 'working tree' : places.ours) : undefined
  return {
    name: 'ours',
    version,
    fromNpm: false,
    speaksMore: true,
    command: (port, backend, _directory, { tls, http2 }) => {
      const flags = tls ? [`--cert=${tls.cert}`, `--key=${tls.key}`] : http2 ? ['--h2c'] : []
      return [process.execPath, places.ours, String(port), backend, ...flags]
    },
    measuredPids: (pid) => [pid],
  }
}

function npmPeer(name: (typeof NPM_PEERS)[number], { root, programs }: Places): Contender {
  const program = join(programs, `${name}.js`)
  return {
    name,
    version: packageVersion(name, root),
    fromNpm: true,
    speaksMore: false,
    command: (port, backend) => [process.execPath, program, String(port), backend],
    measuredPids: (pid) => [pid],
  }
}

function nginx(): Contender {
  const program = findProgram('nginx')
  return {
    name: 'nginx',
    version: program && versionOf(program, '-v'),
    fromNpm: false,
    speaksMore: true,
    command: (port, backend, directory, clients) => {
      const file = join(directory, 'nginx.conf')
      writeFileSync(file, nginxConfiguration(directory, nginxProxy(port, backend, clients)))
      const errorLog = join(directory, 'error.log')
      return [program ?? 'nginx', '-c', file, '-p', directory, '-e', errorLog]
    },
    measuredPids: (pid) => childrenOf(pid),
  }
}

// Response buffering stays at nginx's default, as almost everyone runs it, but never goes to disk:
// what a temporary file costs is a question about the disk.
function nginxProxy(port: number, backend: string, { tls, http2 }: Clients): string {
  const certificate = tls ? `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};` : ''
  return `
    proxy_max_temp_file_size 0;
    upstream backend {
      server ${backend};
      keepalive 128;
      keepalive_requests 100000000;
    }
    server {
      listen 127.0.0.1:${port} ${tls ? 'ssl ' : ''}${http2 ? 'http2 ' : ''}backlog=4096;
      ${certificate}
      location / {
        proxy_pass http://backend;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
      }
    }`
}

function haproxy(): Contender {
  const program = findProgram('haproxy')
  return {
    name: 'haproxy',
    version: program && versionOf(program, '-v'),
    fromNpm: false,
    speaksMore: false,
    command: (port, backend, directory) => {
      const file = join(directory, 'haproxy.cfg')
      writeFileSync(file, haproxyConfiguration(port, backend))
      return [program ?? 'haproxy', '-db', '-f', file]
    },
    measuredPids: (pid) => [pid],
  }
}

// The Host header is set because nginx, our quick start and the npm peers rewrite it too.
function haproxyConfiguration(port: number, backend: string): string {
  return `
global
    nbthread 1
    maxconn 7000
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    option http-keep-alive
    http-reuse always
frontend proxy
    bind 127.0.0.1:${port} backlog 4096
    http-request set-header Host ${backend}
    default_backend servers
backend servers
    server only ${backend} pool-max-conn -1
`
}

const NPM_PEERS = ['http-proxy', 'httpxy', 'fast-proxy'] as const
