/** A program with a listener whose owner throws at each connection. */
import { Opt, Server } from '../../src/index.js'
import type { Service } from '../../src/index.js'

const unserved: Service = {
  name: 'unserved',
  runsIn: 'threads',
  async start({ env, logger, thread }) {
    const address = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
    const listener = await env.network.listen(address, {}, () => {
      throw new Error('not served')
    })
    const { address: bound } = listener
    if (thread === 0 && bound.kind === 'ip') logger.info(`listening on ${bound.host}:${bound.port}`)
  },
  stop: () => Promise.resolve(),
  destroy: () => undefined,
}

const server = new Server(Opt.parseArgs())
await server.bootstrap()
server.addService(unserved)
await server.runForever({ entry: import.meta.url })
