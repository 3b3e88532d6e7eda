/** A program with a timer that throws and a promise that nobody catches. */
import { Opt, Server } from '../../src/index.js'
import type { Service } from '../../src/index.js'

const faulty: Service = {
  name: 'faulty',
  start: () => {
    setTimeout(() => {
      throw new Error('thrown in a timer')
    })
    void Promise.reject(new Error('never caught'))
    return Promise.resolve()
  },
  stop: () => Promise.resolve(),
  destroy: () => undefined,
}

const server = new Server(Opt.parseArgs())
await server.bootstrap()
server.addService(faulty)
await server.runForever(process.env['ON_FATAL'] === 'exit' ? { onFatal: 'exit' } : {})
