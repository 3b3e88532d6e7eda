/** A program that can run in the background, and starts in the way that `DAEMON_PROGRAM` says. */
import { execFileSync } from 'node:child_process'
import { Opt, Server } from '../../src/index.js'
import type { Service } from '../../src/index.js'

const way = process.env['DAEMON_PROGRAM']
// In the daemon alone, which has got the flag from its launcher.
if (way === 'early' && process.execArgv.includes('--disable-sigusr1'))
  process.kill(process.pid, 'SIGUSR1')
const server = new Server(Opt.parseArgs())

/** Starts when asked for: at once, or never. */
const service: Service = {
  name: 'program',
  start: ({ logger }) => {
    const inherited = execFileSync('env', { encoding: 'utf8' })
    const marker = 'PINGORA_TS_DAEMON' in process.env || inherited.includes('PINGORA_TS_DAEMON')
    logger.info('program starts', { cwd: process.cwd(), marker })
    return way === 'hang' ? new Promise(() => undefined) : Promise.resolve()
  },
  stop: () => Promise.resolve(),
  destroy: () => undefined,
}

server.addService(service)
if (way === 'throw') {
  await server.bootstrap()
  throw new Error('thrown at the start')
}
if (way === 'exit') {
  await server.bootstrap()
  process.exit(7)
}
// Who comes from Rust forgets to wait.
void server.bootstrap()
await server.runForever({
  onReady: () => {
    if (way === 'crash') {
      process.stdout.write('printed\n')
      process.kill(process.pid, 'SIGABRT')
    }
  },
})
