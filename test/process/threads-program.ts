/** A program that tells which thread answers, and in which threads end or stand still when they are asked to. */
import { writeSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import { Opt, Server, httpProxyService } from '../../src/index.js'
import type { ProxyHttp } from '../../src/index.js'

const hooks: ProxyHttp<void> = {
  newCtx() {},
  upstreamPeer() {
    return undefined
  },
  requestFilter(session) {
    const { path } = session.reqHeader
    if (path === '/exit') process.exit(3)
    if (path === '/memory') fill()
    if (path === '/block') {
      writeSync(2, 'standing still\n')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    }
    if (path === '/hang') return new Promise(() => undefined)
    if (path === '/throw') {
      setTimeout(() => {
        throw new Error('thrown in a timer')
      }, 0)
    }
    session.respond(200, { body: String(threadId) })
    return 'responded'
  },
}

/** A loop of its own lets V8 end the thread; with built-in functions alone, newer ones never would. */
function fill(): never {
  const kept: unknown[] = []
  for (;;) {
    const row = new Array<number>(1_000)
    for (let at = 0; at < row.length; at++) row[at] = at
    kept.push(row)
  }
}

const server = new Server(Opt.parseArgs())
await server.bootstrap()
const service = httpProxyService(server.configuration, hooks)
service.addTcp('127.0.0.1:0')
server.addService(service)
const onFatal = process.env['ON_FATAL'] === 'exit' ? 'exit' : 'continue'
await server.runForever({ entry: import.meta.url, onFatal })
