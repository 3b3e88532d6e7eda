/** The servers behind the proxies: one for small answers, and one for large bodies. */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Children } from './children.js'
import { LOAD_CORE, findProgram, freePort } from './machine.js'
import { nginxConfiguration } from './nginx-configuration.js'
import { SCENARIOS, SMALL_BODY, isSmall } from './scenarios.js'
import type { Scenario } from './scenarios.js'

/** A path that serves {@link HUGE_BODY_BYTES}, for the memory measurements. */
export const HUGE_PATH = '/1g'
export const HUGE_BODY_BYTES: number = 1024 ** 3

/**
 * They share a core with the load generator, and are the cheapest for what they serve: else it is
 * their core that limits what passes through a fast proxy.
 */
export interface Backends {
  /** Own: receives and sends for all its connections with one system call. `host:port`. */
  readonly small: string
  /** nginx where it is installed, whose `sendfile` copies nothing; else the same. `host:port`. Serves all paths. */
  readonly large: string
  /** What serves, for the report. */
  readonly kind: string
}

/** Starts the backends on the load generator's core and waits until they listen. */
export async function startBackends(children: Children, programs: string): Promise<Backends> {
  const small = await start(children, (port) => {
    return [process.execPath, join(programs, 'backend.js'), String(port)]
  })
  const nginx = findProgram('nginx')
  if (nginx === undefined) return { small, large: small, kind: 'own' }
  const directory = join(children.directory, 'backend')
  const large = await start(children, (port) => nginxCommand(nginx, directory, port))
  return { small, large, kind: 'own, nginx for bodies' }
}

/** The one that serves a scenario. */
export function backendOf(backends: Backends, { bodyBytes }: Scenario): string {
  return isSmall(bodyBytes) ? backends.small : backends.large
}

async function start(
  children: Children,
  command: (port: number) => readonly string[],
): Promise<string> {
  const port = await freePort()
  const child = children.start('backend', LOAD_CORE, command(port))
  await child.listening(port)
  return `127.0.0.1:${port}`
}

function nginxCommand(nginx: string, directory: string, port: number): readonly string[] {
  const root = join(directory, 'root')
  mkdirSync(root, { recursive: true })
  for (const { path, bodyBytes } of SCENARIOS) {
    if (!isSmall(bodyBytes)) writeFileSync(join(root, path), Buffer.alloc(bodyBytes, 'x'))
  }
  // A hole in a file: a gibibyte to send that takes no space on the disk.
  writeFileSync(join(root, HUGE_PATH), '')
  truncateSync(join(root, HUGE_PATH), HUGE_BODY_BYTES)
  const server = `
    sendfile on;
    tcp_nopush on;
    open_file_cache max=16;
    server {
      listen 127.0.0.1:${port} backlog=4096;
      root ${root};
      location = /small { return 200 '${SMALL_BODY.trim()}\\n'; }
    }`
  const file = join(directory, 'nginx.conf')
  writeFileSync(file, nginxConfiguration(directory, server))
  return [nginx, '-c', file, '-p', directory, '-e', join(directory, 'error.log')]
}
