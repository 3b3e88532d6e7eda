/** What a server does in a worker thread: serves what the main thread has accepted or lets it accept. */
import { ProxyError, describeThrown } from '../../error/index.js'
import { DescriptorTable, RingLoop } from '../../transport/internal.js'
import { ServiceGraph } from '../service-graph.js'
import type { ServiceContext } from '../service.js'
import { logStartupDelay, startServices } from '../start-services.js'
import { StopControl } from '../stop-control.js'
import { destroyServices, stopServices } from '../stop-services.js'
import { Adoption } from './adoption.js'
import { ThreadPart, isThreaded } from './thread-part.js'
import type { WorkerStart } from './this-worker.js'
import type { ListenInThread } from './thread-network.js'
import type { FromWorker, ToWorker } from './worker-messages.js'

/**
 * Starts the services that run in threads, and serves until the main thread says to stop.
 * Resolves then; the caller ends the thread.
 */
export async function runWorker(
  services: ServiceGraph,
  context: ServiceContext,
  { port, adopted, descriptors }: WorkerStart,
): Promise<void> {
  const say = (message: FromWorker): void => {
    port.postMessage(message)
  }
  const { network } = context.env
  if (!network.descriptors) throw new ProxyError('PGR_NOT_AVAILABLE', 'threads: no descriptors')
  // What is made from here on is made by this thread alone, and so is its own.
  context.env.sharedMemory.seal()
  RingLoop.ofThread()?.trackIn(new DescriptorTable(descriptors))
  const adoption = new Adoption(network.descriptors, adopted)
  const listen: ListenInThread = (key, address, options, onConnection) =>
    adoption.listen(key, address, options, onConnection)
  const stopped = new Promise<Extract<ToWorker, { kind: 'stop' }>>((resolve) => {
    port.on('message', (message: ToWorker) => {
      if (message.kind === 'stop') resolve(message)
      else adoption.adopt(message)
    })
  })
  const own = new ServiceGraph()
  services.replaceInto(own, (service, index) =>
    isThreaded(service) ? new ThreadPart(service, index, listen) : null,
  )
  try {
    await startServices(own, context, new StopControl(), logStartupDelay(context))
    say({ kind: 'ready', keys: adoption.keys })
    await stopServices(own, context, (await stopped).options)
  } catch (thrown) {
    say({ kind: 'failed', reason: describeThrown(thrown) })
  } finally {
    await destroyServices(own, context)
  }
}
