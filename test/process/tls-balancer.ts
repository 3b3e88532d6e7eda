/** The balancer with a listener that speaks TLS, and clients of it, for tests of the whole process. */
import { once } from 'node:events'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { TestCertificate } from '../helpers/certificates.js'
import { PATIENT_UPGRADE } from './patient-upgrade.js'
import { runCommand } from './run-program.js'
import type { Program } from './run-program.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

/** A folder with the files of a balancer. */
export class TlsBalancer {
  readonly folder: string
  readonly #t: TestContext

  constructor(t: TestContext) {
    this.#t = t
    this.folder = temporaryFolder(t)
  }

  /** Writes a file in one step, as who replaces certificates should. */
  write(name: string, content: string | Uint8Array): void {
    writeFileSync(join(this.folder, `${name}.new`), content)
    renameSync(join(this.folder, `${name}.new`), join(this.folder, name))
  }

  /** Writes `NAME.crt` and `NAME.key`. */
  writeCertificate(name: string, { cert, key }: TestCertificate): void {
    this.write(`${name}.crt`, cert)
    this.write(`${name}.key`, key)
  }

  /** Writes `conf.yaml`. @param tls the listener's. @param upstream what is below its name. */
  configure(tls: string, upstream: string, more: string = ''): void {
    const listener = `listeners: [{ address: "127.0.0.1:0", tls: ${tls} }]`
    const server = `${PATIENT_UPGRADE}\ngrace_period_seconds: 20`
    this.write('conf.yaml', `${listener}\n${server}\n${more}\nupstreams: { app: ${upstream} }\n`)
  }

  run(...flags: string[]): Program {
    const variables = { SSLKEYLOGFILE: join(this.folder, 'upstream-keys.log') }
    return runCommand(this.#t, ['run', '-c', join(this.folder, 'conf.yaml'), ...flags], {
      variables,
    })
  }

  /** Starts it; resolves when it listens. */
  async start(...flags: string[]): Promise<{ readonly program: Program; readonly port: number }> {
    const program = this.run(...flags)
    return { program, port: Number((await program.listening()).split(':')[1]) }
  }
}

/** What one request over TLS has shown. */
export interface TlsAnswer {
  readonly status: string
  readonly resumed: boolean
  /** The certificate of the server, PEM. */
  readonly shown: string
  /** To be resumed later. */
  readonly session: Buffer | undefined
}

/** Makes one request on a connection of its own. Rejects when the handshake or the request fails. */
export async function askOverTls(port: number, options: ConnectionOptions): Promise<TlsAnswer> {
  const socket = connect({ port, host: '127.0.0.1', ...options })
  let session: Buffer | undefined
  socket.on('session', (bytes: Buffer) => (session = bytes))
  try {
    await once(socket, 'secureConnect')
    const shown = socket.getPeerX509Certificate()?.toString().trim() ?? ''
    const answer = await request(socket, true)
    return { status: answer.slice(9, 12), resumed: socket.isSessionReused(), shown, session }
  } finally {
    socket.destroy()
  }
}

/** The first bytes of an answer. */
export async function request(socket: TLSSocket, closes: boolean): Promise<string> {
  const over = new AbortController()
  const { signal } = over
  const closed = once(socket, 'close', { signal }).then(() => {
    throw new Error('closed without an answer')
  })
  closed.catch(() => undefined)
  socket.write(`GET / HTTP/1.1\r\nHost: a\r\n${closes ? 'Connection: close\r\n' : ''}\r\n`)
  try {
    const answer = once(socket, 'data', { signal }) as Promise<[Buffer]>
    const [bytes] = await Promise.race([answer, closed])
    return bytes.toString('latin1')
  } finally {
    over.abort()
  }
}
