/** gRPC-Web in a page of a real browser, by the official client and by `fetch`, from a server of grpc-js. */
import { status } from '@grpc/grpc-js'
import type { ServerWritableStream } from '@grpc/grpc-js'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HttpModule, HttpModules } from '../../src/modules/index.js'
import { GrpcWeb } from '../../src/modules/index.js'
import type { ResponseHeader } from '../../src/http/index.js'
import type { ProxyHttp, Session } from '../../src/proxy/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import { freePort } from '../helpers/free-port.js'
import { metadataOf, startProbeServer } from '../helpers/grpc.js'
import type { ProbeMethods } from '../helpers/grpc.js'
import { startProxy } from '../helpers/start-proxy.js'
import { startBackend } from '../process/backend.js'
import { missing, runProgram } from './foreign-program.js'
import { PAGE } from './grpc-web-page.js'
import type { PageCase, PageReport } from './grpc-web-page.js'

const skip = missing('chromium', '--version')

for (const kind of ['plain', 'TLS'] as const) {
  describe(`a page of the same origin, ${kind}`, { timeout: 120_000 }, () => {
    test('makes calls and reads streams', { skip }, async (t) => {
      const site = await startSite(t, kind)
      const seen = await site.visit(['unary binary', 'unary text', 'stream text'])
      for (const name of ['unary binary', 'unary text'] as const) {
        const report = seen(name)
        assert.deepEqual(report.messages, ['got it for a'])
        assert.equal(report.code, status.OK)
        assert.equal(report.metadata['x-head'], 'h')
        assert.equal(report.metadata['x-tail'], 't')
      }
      assert.deepEqual([...site.versions], [kind === 'TLS' ? '2' : '1.1'])
      // The next message was only made when the page had shown the last one.
      assert.deepEqual(seen('stream text').messages, ['m1', 'm2', 'm3'])
      assert.equal(seen('stream text').code, status.OK)
    })

    test('reads a binary stream message by message', { skip }, async (t) => {
      const site = await startSite(t, kind)
      const report = (await site.visit(['stream binary by fetch']))('stream binary by fetch')
      assert.deepEqual(report.messages, ['m1', 'm2', 'm3'])
      assert.equal(report.code, status.OK)
      assert.equal(report.metadata['x-count'], '3')
    })

    test('gets errors of the server and of the proxy, and cancels', { skip }, async (t) => {
      const site = await startSite(t, kind)
      const seen = await site.visit([
        'error binary',
        'error text',
        'late error text',
        'unavailable text',
        'cancel text',
      ])
      for (const name of ['error binary', 'error text'] as const) {
        const { code, details, metadata } = seen(name)
        assert.deepEqual([code, details], [status.NOT_FOUND, 'no "it", 100%'])
        assert.equal(metadata['x-why'], 'because')
      }
      const late = seen('late error text')
      assert.deepEqual([late.messages, late.code], [['m1'], status.DATA_LOSS])
      const unavailable = seen('unavailable text')
      assert.equal(unavailable.code, status.UNAVAILABLE)
      assert.equal(unavailable.details, '502 Bad Gateway')
      assert.deepEqual(seen('cancel text').messages, ['m1'])
      await site.cancelled
    })
  })
}

describe('a page of another origin', { timeout: 120_000 }, () => {
  test('makes calls and reads streams and errors', { skip }, async (t) => {
    const site = await startSite(t, 'plain', true)
    const seen = await site.visit(['unary text', 'stream text', 'error text', 'unavailable text'])
    assert.deepEqual(seen('unary text').messages, ['got it for a'])
    assert.deepEqual(seen('stream text').messages, ['m1', 'm2', 'm3'])
    assert.equal(seen('error text').code, status.NOT_FOUND)
    assert.equal(seen('unavailable text').code, status.UNAVAILABLE)
  })
})

interface Site {
  /** What clients have spoken in calls. */
  readonly versions: ReadonlySet<string>
  /** Opens the page in a browser; resolves when it has done everything, and gives its reports. */
  visit(cases: readonly PageCase[]): Promise<(name: PageCase) => PageReport>
  /** The server has seen the cancel of a call. */
  readonly cancelled: Promise<void>
}

/** A gRPC server and the files of the page, behind one proxy; or the files beside it. */
async function startSite(t: TestContext, kind: 'plain' | 'TLS', isApart = false): Promise<Site> {
  const stream = new PacedStream()
  const server = await startProbeServer(t, methodsOf(stream))
  const reports: PageReport[] = []
  let onReport = (): void => undefined
  const files = await startBackend(t, (request, response) => {
    let body = ''
    request.on('data', (piece: Buffer) => (body += String(piece)))
    request.on('end', () => {
      if (request.url === '/report') {
        reports.push(JSON.parse(body) as PageReport)
        onReport()
      } else if (request.url === '/ack') stream.next()
      const file = FILES[new URL(request.url ?? '/', 'http://x').pathname]
      response.writeHead(200, { 'Content-Type': file?.[0] ?? 'text/plain' }).end(file?.[1] ?? '')
    })
  })
  const deadPort = await freePort()
  const hooks = new Gateway(server.port, deadPort, files.address)
  const leaf = await (await testCa()).issue({ names: ['127.0.0.1'] })
  const proxy = await startProxy(0, {
    hooks: {
      initDownstreamModules: hooks.initDownstreamModules.bind(hooks),
      requestFilter: hooks.requestFilter.bind(hooks),
      upstreamPeer: hooks.upstreamPeer.bind(hooks),
    },
    ...(kind === 'TLS' && { listener: { tls: { certificates: [leaf] } } }),
  })
  t.after(() => {
    proxy.destroy()
  })
  const proxied = `http${kind === 'TLS' ? 's' : ''}://127.0.0.1:${proxy.port}`
  const visit: Site['visit'] = async (cases) => {
    const query = new URLSearchParams({ base: proxied, cases: JSON.stringify(cases) })
    const origin = isApart ? `http://${files.address}` : proxied
    const log = browse(t, `${origin}/page?${String(query)}`)
    await new Promise<void>((resolve, reject) => {
      const tooLate = setTimeout(() => {
        reject(new Error(`${reports.length} reports in a minute; ${readFileSync(log, 'utf8')}`))
      }, 60_000)
      onReport = () => {
        if (reports.length < cases.length) return
        clearTimeout(tooLate)
        resolve()
      }
    })
    return (name) => {
      const report = reports.find((each) => each.name === name)
      assert.equal(report?.failed, '', name)
      return report
    }
  }
  return { visit, cancelled: stream.cancelled, versions: hooks.versions }
}

/** Sends a message whenever the page has acknowledged the one before. */
class PacedStream {
  readonly cancelled: Promise<void>
  #onCancelled = (): void => undefined
  #call: ServerWritableStream<Buffer, Buffer> | null = null
  #sent = 0

  constructor() {
    this.cancelled = new Promise((resolve) => {
      this.#onCancelled = resolve
    })
  }

  start(call: ServerWritableStream<Buffer, Buffer>): void {
    this.#call = call
    this.#sent = 0
    call.on('cancelled', this.#onCancelled)
    this.next()
  }

  next(): void {
    const call = this.#call
    if (this.#sent < 3) call?.write(Buffer.from(`m${++this.#sent}`))
    else call?.end(metadataOf([['x-count', String(this.#sent)]]))
  }
}

function methodsOf(stream: PacedStream): ProbeMethods {
  return {
    unary: (call, done) => {
      if (String(call.request) === 'fail') {
        const metadata = metadataOf([['x-why', 'because']])
        done({ code: status.NOT_FOUND, details: 'no "it", 100%', metadata })
        return
      }
      call.sendMetadata(metadataOf([['x-head', 'h']]))
      const answer = `got ${String(call.request)} for ${call.metadata.get('x-up').join()}`
      done(null, Buffer.from(answer), metadataOf([['x-tail', 't']]))
    },
    list: (call) => {
      stream.start(call)
      if (String(call.request) === 'fail')
        call.emit('error', { code: status.DATA_LOSS, details: 'gone' })
    },
  }
}

/** As the guide has it: gRPC-Web, and fields for pages of other origins on every answer. */
class Gateway implements ProxyHttp {
  readonly versions = new Set<string>()
  readonly #grpcPort: number
  readonly #deadPort: number
  readonly #files: string

  constructor(grpcPort: number, deadPort: number, files: string) {
    this.#grpcPort = grpcPort
    this.#deadPort = deadPort
    this.#files = files
  }

  newCtx(): void {
    // The session has all.
  }

  initDownstreamModules(modules: HttpModules): void {
    modules.addModule({ module: GrpcWeb, init: () => new GrpcWeb() })
    modules.addModule({ module: Cors, init: () => new Cors() })
  }

  requestFilter(session: Session): 'continue' | 'responded' {
    if (session.reqHeader.method !== 'OPTIONS') return 'continue'
    const headers = {
      'Access-Control-Allow-Methods': 'POST',
      'Access-Control-Allow-Headers': 'content-type, x-grpc-web, x-user-agent, x-up',
    }
    session.respond(204, { headers })
    return 'responded'
  }

  upstreamPeer(session: Session): HttpPeer {
    const { path } = session.reqHeader
    if (path.startsWith('/nowhere/')) return new HttpPeer(`127.0.0.1:${this.#deadPort}`)
    if (!path.startsWith('/test.Probe/')) return new HttpPeer(this.#files)
    this.versions.add(session.reqHeader.version)
    const options = { protocol: 'h2c', maxH2Streams: 100 } as const
    return new HttpPeer(`127.0.0.1:${this.#grpcPort}`, options)
  }
}

class Cors implements HttpModule {
  responseHeaderFilter(response: ResponseHeader): void {
    response.insertHeader('Access-Control-Allow-Origin', '*')
    response.insertHeader('Access-Control-Expose-Headers', 'grpc-status, grpc-message, x-why')
  }
}

/** Opens a page in a browser, which knows nothing but loopback, for the time of the test. Returns its log. */
function browse(t: TestContext, url: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'pingora-page-'))
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-default-apps',
    '--disable-extensions',
    '--disable-sync',
    '--ignore-certificate-errors',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    `--user-data-dir=${join(folder, 'profile')}`,
  ]
  const log = join(folder, 'chromium.log')
  runProgram(t, ['chromium', ...flags, url], log)
  // Last, or the browser would make it anew.
  t.after(() => removeProfile(folder))
  return log
}

/** A browser ends some moments before its children, which write to the last. */
async function removeProfile(folder: string): Promise<void> {
  const endMs = performance.now() + 10_000
  for (;;) {
    try {
      rmSync(folder, { recursive: true })
      return
    } catch (error) {
      if (performance.now() > endMs) throw error
      await sleep(50)
    }
  }
}

const FILES: Readonly<Record<string, readonly [string, string]>> = {
  '/page': ['text/html', PAGE],
  '/grpc-web.js': [
    'text/javascript',
    readFileSync(
      join(createRequire(import.meta.url).resolve('grpc-web'), '..', 'index.esm.js'),
      'utf8',
    ),
  ],
}
