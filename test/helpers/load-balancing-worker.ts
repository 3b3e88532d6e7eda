/** The program that the threads of a test on load balancing run: one balancer, then one task. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { Backend, Backends, LoadBalancer } from '../../src/load-balancing/index.js'
import type { DiscoveryResult, ServiceDiscovery } from '../../src/load-balancing/index.js'
import { int32, workerMemory } from '../../src/shared-memory/internal.js'
import { REAL_ENVIRONMENT } from '../../src/transport/index.js'
import type { Environment } from '../../src/transport/index.js'

/** Finds what the main thread says; workers do not ask it. */
export class ScriptedDiscovery implements ServiceDiscovery {
  result: DiscoveryResult = { backends: [] }

  discover(): Promise<DiscoveryResult> {
    return isMainThread ? Promise.resolve(this.result) : assert.fail('a worker asked')
  }
}

/** The objects of the program; every thread calls this once, as a user's program would. */
export function makeProgram(env: Environment = REAL_ENVIRONMENT) {
  const discovery = new ScriptedDiscovery()
  const balancer = LoadBalancer.fromBackends(new Backends(discovery, { env }))
  const gate = env.sharedMemory.region('gate', { arrived: int32(1), step: int32(1) }).fields
  return { discovery, balancer, gate }
}

export type Program = ReturnType<typeof makeProgram>

/** Backends whose port is odd are never ready, so a pick of one is a fault in any set. */
export function isFaulty({ address }: Backend): boolean {
  return Number(address.at(-1)) % 2 === 1
}

/** What a thread does once all are there; `times` is how often. */
const TASKS = {
  /** Counts its picks by address. */
  pick: ({ balancer }: Program, times: number): Record<string, number> =>
    countOf(times, () => balancer.select('', 256)),
  /** The same, with one backend refused. */
  search: ({ balancer }: Program, times: number): Record<string, number> =>
    countOf(times, () => balancer.selectWith('', 256, ({ address }) => address !== '10.0.0.2:80')),
  /** Picks until the main thread has gone one step on, and `times` more: the last ones by address. */
  pickAfter: ({ balancer, gate }: Program, times: number): Record<string, number> => {
    while (Atomics.load(gate.step, 0) === 0) balancer.select('', 256)
    return countOf(times, () => balancer.select('', 256))
  },
  /** Picks until the main thread has gone one step on; faulty picks, and sets that were seen. */
  watch: ({ balancer, gate }: Program): { faults: string[]; picks: number; sets: number } => {
    const faults: string[] = []
    let [picks, sets, last] = [0, 0, balancer.backends.set]
    while (Atomics.load(gate.step, 0) === 0) {
      const picked = balancer.select('', 256)
      picks += 1
      if (picked === undefined) faults.push('nothing to pick')
      else if (isFaulty(picked)) faults.push(`picked ${picked.address}`)
      const { set } = balancer.backends
      if (set === last) continue
      const groups = new Set(set.backends.map(({ address }) => address.split(':')[0]))
      if (groups.size !== 1 || set.backends.length !== 4) faults.push(`saw ${set.backends.join()}`)
      ;[last, sets] = [set, sets + 1]
    }
    return { faults: faults.slice(0, 10), picks, sets }
  },
  /** Picks until the main thread has gone one step on; how often there was nothing to pick, and was. */
  seek: ({ balancer, gate }: Program): { nothing: number; found: number } => {
    const counts = { nothing: 0, found: 0 }
    while (Atomics.load(gate.step, 0) === 0) {
      counts[balancer.select('', 256) === undefined ? 'nothing' : 'found'] += 1
    }
    return counts
  },
  /** Allows and forbids traffic to the first backend in turn; how often it was not as it had said. */
  enable: ({ balancer }: Program, times: number): number => {
    const { backends } = balancer
    const first = backends.list[0]!
    let lost = 0
    for (let time = 1; time <= times; time++) {
      backends.setEnabled(first, time % 2 === 0)
      if (backends.set.health.isEnabled(0) !== (time % 2 === 0)) lost += 1
    }
    backends.setEnabled(first, false)
    return lost
  },
} as const

function countOf(times: number, pick: () => Backend | undefined): Record<string, number> {
  const counts: Record<string, number> = {}
  for (let time = 0; time < times; time++) {
    const address = pick()?.address ?? 'none'
    counts[address] = (counts[address] ?? 0) + 1
  }
  return counts
}

interface Task {
  readonly name: keyof typeof TASKS
  /** How often, for tasks that repeat something. Default: 0. */
  readonly times?: number
  /** How many workers wait for each other before they begin. Default: 1. */
  readonly together?: number
}

/** Starts a worker of the program that `env` has the memory of; resolves with what its task returns. */
export function runThread(
  t: TestContext,
  env: Environment,
  { index, workers, ...task }: { index: number; workers: number } & Task,
): Promise<unknown> {
  const data = { ...workerMemory(index, workers, env.sharedMemory), task }
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: data })
  t.after(async () => await worker.terminate())
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

function runTask({ name, times = 0, together = 1 }: Task): void {
  const program = makeProgram()
  const { arrived } = program.gate
  Atomics.add(arrived, 0, 1)
  Atomics.notify(arrived, 0)
  for (let here = Atomics.load(arrived, 0); here < together; here = Atomics.load(arrived, 0)) {
    assert.notEqual(Atomics.wait(arrived, 0, here, START_TIMEOUT_MS), 'timed-out')
  }
  parentPort?.postMessage(TASKS[name](program, times))
}

const START_TIMEOUT_MS = 60_000

const data: unknown = workerData
if (!isMainThread && typeof data === 'object' && data !== null && 'task' in data) {
  runTask(data.task as Task)
}
