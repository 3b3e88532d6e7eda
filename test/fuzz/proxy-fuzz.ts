/** Fuzzes a whole proxy over loopback sockets, with hostile clients, hostile upstreams and a clean pair. */
import { HttpPeer } from '../../src/transport/index.js'
import { loadVectors } from '../conformance/vectors.js'
import { RawClient } from '../helpers/raw-client.js'
import { RecordingBackend } from '../helpers/recording-backend.js'
import { bytes, cutAt } from '../helpers/splits.js'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy } from '../helpers/start-proxy.js'
import { readCorpus } from './corpus.js'
import { generateInput } from './generate-input.js'
import { HostileBackend } from './hostile-backend.js'
import { Random } from './random.js'

/** How long and from where. */
export interface ProxyFuzzOptions {
  readonly seconds: number
  /** Chooses the inputs; the order in which sockets are served is not repeated by it. */
  readonly seed: number
  /** Gets a line per failure. */
  readonly report: (line: string) => void
}

/** What a run did. */
export interface ProxyFuzzResult {
  readonly clients: number
  readonly upstreamRequests: number
  readonly probes: number
  readonly failures: number
  readonly seconds: number
  /** How much larger the process was at its largest than after its first second. */
  readonly rssGrowthMib: number
}

/** Runs until the time is over, then checks that nothing is left behind. */
export async function fuzzProxy(options: ProxyFuzzOptions): Promise<ProxyFuzzResult> {
  const run = new ProxyFuzz(options)
  await run.start()
  try {
    return await run.run()
  } finally {
    await run.stop()
  }
}

/** The last line of a run. */
export function proxyFuzzSummary(seed: number, result: ProxyFuzzResult): string {
  const { clients, upstreamRequests, probes, failures, seconds, rssGrowthMib } = result
  return (
    `proxy fuzz: seed ${seed}, ${seconds.toFixed(0)} s, ${clients} hostile clients ` +
    `(${Math.round(clients / seconds)}/s), ${upstreamRequests} requests upstream, ` +
    `${probes} clean probes, RSS growth ${rssGrowthMib.toFixed(0)} MiB, ${failures} failures`
  )
}

class ProxyFuzz {
  readonly #seconds: number
  readonly #report: (line: string) => void
  readonly #random: Random
  readonly #seeds: readonly string[]
  readonly #hostile: HostileBackend
  #honest!: RecordingBackend
  #proxy!: RunningProxy
  #until = 0
  #clients = 0
  #probes = 0
  #failures = 0
  #baseRss = 0
  #peakRss = 0

  constructor({ seconds, seed, report }: ProxyFuzzOptions) {
    this.#seconds = seconds
    this.#report = report
    this.#random = new Random(seed)
    const { request, response } = loadVectors()
    this.#seeds = [...request, ...response, ...readCorpus()].map(({ text }) => text)
    this.#hostile = new HostileBackend(this.#random, this.#seeds, (fault) => {
      this.#fail(fault)
    })
  }

  async start(): Promise<void> {
    process.on('uncaughtException', this.#onFatal)
    process.on('unhandledRejection', this.#onFatal)
    const hostilePort = await this.#hostile.start()
    this.#honest = await RecordingBackend.start((path) => ({
      text: `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`,
      close: false,
    }))
    const peer = { readTimeoutMs: 200, writeTimeoutMs: 200, idleTimeoutMs: 300 }
    this.#proxy = await startProxy(this.#honest.port, {
      timeouts: { headerMs: 300, bodyMs: 300, writeMs: 300 },
      hooks: {
        upstreamPeer: ({ reqHeader }) => {
          const isClean = reqHeader.target.startsWith('/clean-')
          // The clean pair has time, so that a busy machine is no failure.
          if (isClean) return new HttpPeer(`127.0.0.1:${this.#honest.port}`, { idleTimeoutMs: 300 })
          return new HttpPeer(`127.0.0.1:${hostilePort}`, peer)
        },
      },
    })
  }

  async run(): Promise<ProxyFuzzResult> {
    const begun = performance.now()
    this.#until = begun + this.#seconds * 1_000
    const attackers = Array.from({ length: 12 }, () => this.#attack())
    await Promise.all([...attackers, this.#probe()])
    await this.#checkNothingLeaks()
    return {
      clients: this.#clients,
      upstreamRequests: this.#hostile.requests,
      probes: this.#probes,
      failures: this.#failures,
      seconds: (performance.now() - begun) / 1_000,
      rssGrowthMib: (this.#peakRss - this.#baseRss) / 2 ** 20,
    }
  }

  async stop(): Promise<void> {
    this.#proxy.destroy()
    await this.#hostile.stop()
    await this.#honest.stop()
    process.off('uncaughtException', this.#onFatal)
    process.off('unhandledRejection', this.#onFatal)
  }

  readonly #onFatal = (thrown: unknown): void => {
    this.#fail(`nobody caught ${thrown instanceof Error ? thrown.stack : String(thrown)}`)
  }

  async #attack(): Promise<void> {
    while (performance.now() < this.#until) {
      const client = await RawClient.connect(this.#proxy.port)
      this.#clients++
      await this.#misbehave(client)
      client.destroy()
      if (client.text !== '' && !client.text.startsWith('HTTP/1.1 ')) {
        this.#fail(`a client got ${JSON.stringify(client.text.slice(0, 60))}`)
      }
    }
  }

  async #misbehave(client: RawClient): Promise<void> {
    const random = this.#random
    const text = random.oneIn(2) ? random.pick(PLAIN_REQUESTS) : generateInput(random, this.#seeds)
    const input = bytes(text)
    const places = Array.from({ length: random.small(5) }, () => random.below(input.length + 1))
    for (const piece of cutAt(input, places)) {
      if (client.ended) return
      client.write(piece.toString('latin1'))
      if (random.oneIn(2)) await nextTurn()
    }
    switch (random.below(5)) {
      case 0:
        client.reset()
        return
      case 1:
        client.end()
        break
      case 2:
        return
      default:
    }
    // Whoever waits is answered or dropped: that is what time-outs are for.
    await client
      .until('an answer or a close', () => client.ended || client.text !== '')
      .catch(() => {
        this.#fail(`no answer and no close after ${JSON.stringify(text.slice(0, 200))}`)
      })
  }

  /** A clean client of a clean upstream, which must not notice what goes on around it. */
  async #probe(): Promise<void> {
    let client: RawClient | null = null
    while (performance.now() < this.#until) {
      const path = `/clean-${++this.#probes}`
      client ??= await RawClient.connect(this.#proxy.port)
      const seen = client.text.length
      client.write(`GET ${path} HTTP/1.1\r\nHost: h.test\r\n\r\n`)
      const { text, ended } = await this.#answerTo(client, seen)
      // A connection that was used before may be closed as idle just now.
      const isIdleClose = ended && text === '' && seen > 0
      if (isIdleClose) this.#probes--
      else if (!text.startsWith('HTTP/1.1 200 ') || !text.endsWith(`\r\n\r\n${path}`)) {
        this.#fail(`the clean request ${path} got ${JSON.stringify(text.slice(0, 300))}`)
      }
      if (ended || this.#random.oneIn(50)) {
        client.destroy()
        client = null
        this.#measure()
      }
    }
    client?.destroy()
  }

  async #answerTo(client: RawClient, seen: number): Promise<{ text: string; ended: boolean }> {
    const isComplete = (): boolean => /\r\n\r\n\/clean-\d+$/.test(client.text.slice(seen))
    await client.until('a clean answer', () => client.ended || isComplete()).catch(() => {})
    return { text: client.text.slice(seen), ended: client.ended }
  }

  #measure(): void {
    this.#honest.requests.length = 0
    const { rss } = process.memoryUsage()
    const elapsedMs = performance.now() - (this.#until - this.#seconds * 1_000)
    if (elapsedMs < 1_000 || this.#baseRss === 0) this.#baseRss = rss
    this.#peakRss = Math.max(this.#peakRss, rss)
  }

  /** After the last client has left, every connection goes: at once, or with its time-out. */
  async #checkNothingLeaks(): Promise<void> {
    const { counters } = this.#proxy
    const open = (): number => counters.get('downstreamConnectionsOpen')
    const deadline = performance.now() + LEAK_PATIENCE_MS
    const isLeft = (): boolean =>
      open() > 0 || this.#hostile.sockets.size > 0 || this.#honest.sockets.size > 0
    while (isLeft() && performance.now() < deadline) await nextTurn()
    if (open() > 0) this.#fail(`${open()} client connections are left`)
    for (const socket of [...this.#hostile.sockets, ...this.#honest.sockets]) {
      const { bytesRead, bytesWritten, readableEnded, writableEnded } = socket
      const state = JSON.stringify({ bytesRead, bytesWritten, readableEnded, writableEnded })
      this.#fail(`an upstream connection is left: ${state}`)
    }
    const growth = (this.#peakRss - this.#baseRss) / 2 ** 20
    if (growth > MAX_RSS_GROWTH_MIB) this.#fail(`the process grew by ${growth.toFixed(0)} MiB`)
  }

  #fail(what: string): void {
    this.#failures++
    if (this.#failures <= MAX_REPORTED) this.#report(what)
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Requests that surely reach the hostile upstream. */
const PLAIN_REQUESTS = [
  'GET /a HTTP/1.1\r\nHost: h.test\r\n\r\n',
  'GET /a HTTP/1.0\r\n\r\n',
  'HEAD /a HTTP/1.1\r\nHost: h.test\r\n\r\n',
  'POST /a HTTP/1.1\r\nHost: h.test\r\nContent-Length: 5\r\n\r\nhello',
  'POST /a HTTP/1.1\r\nHost: h.test\r\nContent-Length: 500000\r\n\r\nhello',
  'POST /a HTTP/1.1\r\nHost: h.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n',
  'PUT /a HTTP/1.1\r\nHost: h.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello',
  'GET /a HTTP/1.1\r\nHost: h.test\r\n\r\n'.repeat(20),
]
const MAX_REPORTED = 20
const LEAK_PATIENCE_MS = 5_000
const MAX_RSS_GROWTH_MIB = 192
