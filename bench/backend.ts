/** The server behind the proxies: nginx where it is installed, else a small one of our own. */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Child, Children } from './children.js'
import { LOAD_CORE, findProgram, freePort } from './machine.js'
import { nginxConfiguration } from './nginx-configuration.js'
import { SCENARIOS, SMALL_BODY } from './scenarios.js'

/** A path that serves {@link HUGE_BODY_BYTES}, for the memory measurements. */
export const HUGE_PATH = '/1g'
export const HUGE_BODY_BYTES: number = 1024 ** 3

export interface Backend {
  /** `host:port`. */
  readonly address: string
  readonly port: number
  /** What serves, for the report. */
  readonly kind: string
  readonly child: Child
}

/** Starts the backend on the load generator's core and waits until it listens. */
export async function startBackend(children: Children, programs: string): Promise<Backend> {
  const port = await freePort()
  const nginx = findProgram('nginx')
  const command =
    nginx === undefined
      ? [process.execPath, join(programs, 'backend.js'), String(port)]
      : nginxCommand(nginx, join(children.directory, 'backend'), port)
  const child = children.start('backend', LOAD_CORE, command)
  await child.listening(port)
  const kind = nginx === undefined ? 'own raw-socket backend' : 'nginx'
  return { address: `127.0.0.1:${port}`, port, kind, child }
}

function nginxCommand(nginx: string, directory: string, port: number): readonly string[] {
  const root = join(directory, 'root')
  mkdirSync(root, { recursive: true })
  for (const { path, bodyBytes } of SCENARIOS) {
    if (bodyBytes > SMALL_BODY.length) writeFileSync(join(root, path), Buffer.alloc(bodyBytes, 'x'))
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
