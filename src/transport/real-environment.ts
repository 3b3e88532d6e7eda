/** `REAL_ENVIRONMENT`: the machine's clock, network and chance, and the thread's shared memory. */
import { threadRegistry } from '../shared-memory/internal.js'
import { DeadlineWheel, RealClock } from '../time/index.js'
import type { Environment } from './environment.js'
import { NodeNetwork } from './node/node-network.js'

const clock = new RealClock()

/** What every constructor uses that is not given an `env`. One per thread. */
export const REAL_ENVIRONMENT: Environment = Object.freeze({
  clock,
  deadlines: new DeadlineWheel(clock),
  network: new NodeNetwork({ clock }),
  random: { next: () => Math.random() },
  sharedMemory: threadRegistry(),
})
