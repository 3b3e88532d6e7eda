/** A worker of a program that never comes to its `run()`, in the way that its configuration says. */
import { ServerConf } from '../../src/server/index.js'
import { thisWorker } from '../../src/server/workers/this-worker.js'
import type { FromWorker } from '../../src/server/workers/worker-messages.js'

const { configuration, port } = thisWorker()!
const { way } = ServerConf.fromThread(configuration).extra

if (way === 'fails') {
  port.postMessage({ kind: 'failed', reason: 'out of luck' } satisfies FromWorker)
  process.exit(0)
}
if (way === 'idles') setInterval(() => undefined, 60_000)
