/** What a proxy's memory does under a slow reader and under idle clients, and how soon it listens. */
import { setTimeout as sleep } from 'node:timers/promises'
import { HUGE_BODY_BYTES, HUGE_PATH } from './backend.js'
import type { Children } from './children.js'
import { startProxy } from './contenders.js'
import type { Contender, ContenderName, RunningProxy } from './contenders.js'
import { openIdleClients } from './idle-clients.js'
import { peakResidentKiB, resetPeak, residentKiB } from './process-usage.js'
import { readSlowly } from './slow-reader.js'
import { median } from './statistics.js'
import { figure, formatTable } from './table.js'

/** One program's figures; one that could not be taken is undefined and has its reason in `failure`. */
export interface MemoryFigures {
  readonly contender: ContenderName
  readonly startMs?: number
  readonly slowReaderGrowthMiB?: number
  readonly idleClientKiB?: number
  readonly failure?: string
}

export interface MemoryReport {
  readonly text: string
  readonly figures: readonly MemoryFigures[]
}

/** Measures every contender by itself, each measurement in a fresh process. */
export async function measureMemory(
  children: Children,
  backend: string,
  contenders: readonly Contender[],
  progress: (line: string) => void,
): Promise<MemoryReport> {
  const figures: MemoryFigures[] = []
  for (const contender of contenders) {
    const measured: Measured = { contender: contender.name }
    const run = new MemoryRun(children, contender, backend, progress)
    try {
      if (contender.version === undefined) throw new Error('not installed')
      measured.startMs = await run.startTime()
      measured.slowReaderGrowthMiB = await run.slowReader()
      measured.idleClientKiB = await run.idleClients()
    } catch (error) {
      measured.failure = error instanceof Error ? error.message : String(error)
    }
    figures.push(measured)
  }
  return { text: formatMemory(figures), figures }
}

type Measured = { -readonly [Key in keyof MemoryFigures]: MemoryFigures[Key] }

/** The measurements of one contender. */
class MemoryRun {
  readonly #children: Children
  readonly #contender: Contender
  readonly #backend: string
  readonly #progress: (line: string) => void

  constructor(
    children: Children,
    contender: Contender,
    backend: string,
    progress: (line: string) => void,
  ) {
    this.#children = children
    this.#contender = contender
    this.#backend = backend
    this.#progress = progress
  }

  /** Milliseconds from the start of the process to the first accepted connection. */
  async startTime(): Promise<number> {
    this.#progress(`${this.#contender.name}: ${STARTS} starts`)
    const times: number[] = []
    for (let start = 0; start < STARTS; start++) {
      await this.#withProxy(({ startMs }) => {
        times.push(startMs)
      })
    }
    return median(times)
  }

  /** MiB by which resident memory rose at its highest while the body went to a slow reader. */
  slowReader(): Promise<number> {
    this.#progress(`${this.#contender.name}: 1 GiB to a slow reader`)
    return this.#withProxy(async (proxy) => {
      // Code that the first request loads is no growth of this one.
      await openIdleClients(proxy.port, '/small', 1).then((clients) => {
        clients.close()
      })
      const pids = pidsOf(proxy)
      const before = resident(pids)
      resetPeak(pids)
      await readSlowly(proxy.port, HUGE_PATH, HUGE_BODY_BYTES)
      return ((peakResidentKiB(pids) ?? NaN) - before) / 1024
    })
  }

  /** KiB of resident memory per client that has made a request and stays connected. */
  idleClients(): Promise<number> {
    this.#progress(`${this.#contender.name}: ${IDLE_CLIENTS} idle clients`)
    return this.#withProxy(async (proxy) => {
      const first = await openIdleClients(proxy.port, '/small', 100)
      first.close()
      await sleep(SETTLE_MS)
      const pids = pidsOf(proxy)
      const before = resident(pids)
      const clients = await openIdleClients(proxy.port, '/small', IDLE_CLIENTS)
      await sleep(SETTLE_MS)
      const after = resident(pids)
      const left = clients.open
      clients.close()
      if (left < IDLE_CLIENTS) throw new Error(`${IDLE_CLIENTS - left} idle clients were closed`)
      return (after - before) / IDLE_CLIENTS
    })
  }

  async #withProxy<Result>(
    use: (proxy: RunningProxy) => Result | Promise<Result>,
  ): Promise<Result> {
    const proxy = await startProxy(this.#children, this.#contender, this.#backend)
    try {
      return await use(proxy)
    } finally {
      await proxy.child.end()
    }
  }
}

function pidsOf({ contender, child }: RunningProxy): readonly number[] {
  return contender.measuredPids(child.pid)
}

function resident(pids: readonly number[]): number {
  const kiB = residentKiB(pids)
  if (kiB === undefined) throw new Error('resident memory can be read on Linux only')
  return kiB
}

function formatMemory(figures: readonly MemoryFigures[]): string {
  const rows = figures.map((one) => [
    one.failure === undefined ? one.contender : `${one.contender} !`,
    figure(one.slowReaderGrowthMiB, 1),
    figure(one.idleClientKiB, 2),
    figure(one.startMs === undefined ? undefined : one.startMs / 1_000, 3),
  ])
  const bounds = ['bound for ours', `< ${GROWTH_MIB}`, `< ${CLIENT_KIB}`, `< ${START_SEC}`]
  const failures = figures
    .filter(({ failure }) => failure !== undefined)
    .map(({ contender, failure }) => `${contender}: ${failure}`)
  return [formatTable(HEADER, [...rows, bounds]), ...failures, ''].join('\n')
}

const HEADER = ['program', 'MiB grown, slow reader', 'KiB per idle client', 's to listening']
const STARTS = 5
const IDLE_CLIENTS = 5_000
const SETTLE_MS = 2_000
const GROWTH_MIB = 64
const CLIENT_KIB = 16
const START_SEC = 0.5
