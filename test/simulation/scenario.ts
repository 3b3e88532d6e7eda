/** The scenario of the simulation: one world, all drawn from its seed, and the judgement over it. */
import { LoadBalancer, TcpHealthCheck } from '../../src/load-balancing/index.js'
import type { SeededRandom, TestProxy, TestWorld } from '../../src/testing/index.js'
import { judgeClient } from './judge-client.js'
import { judgeCaptures, judgeCounters, judgeSessions, sessionsById } from './judge-proxy.js'
import { Ledger } from './ledger.js'
import { drawProxyPlan } from './proxy-plan.js'
import type { ProxyPlan } from './proxy-plan.js'
import { SimClient } from './sim-client.js'
import { filteredBody, makeHooks } from './sim-hooks.js'
import { SimUpstream, idIn } from './sim-upstream.js'
import { Violation } from './violation.js'
import { drawClients, drawFaults, drawLink, drawTopology } from './world-plan.js'
import type { Topology } from './world-plan.js'

/** Lives through one world. @throws {@link Violation} (rejects) for the first invariant that is broken. */
export async function runScenario(world: TestWorld): Promise<void> {
  const random = world.random.fork('scenario')
  const topology = drawTopology(random)
  const plan = drawProxyPlan(random, topology.isCalm)
  world.note(`plan ${JSON.stringify({ ...topology, plan })}`)
  const simulation = new Simulation(world, random, topology, plan)
  await simulation.run()
}

class Simulation {
  readonly #world: TestWorld
  readonly #random: SeededRandom
  readonly #topology: Topology
  readonly #plan: ProxyPlan
  readonly #ledger: Ledger
  readonly #upstreams: SimUpstream[]
  readonly #clients: SimClient[]
  /** A graceful stop that goes on. */
  #stopping: Promise<void> | null = null

  constructor(world: TestWorld, random: SeededRandom, topology: Topology, plan: ProxyPlan) {
    this.#world = world
    this.#random = random
    this.#topology = topology
    this.#plan = plan
    this.#ledger = new Ledger(world)
    this.#upstreams = topology.upstreams.map(({ address, link, ...rest }) => {
      world.network.setLink(address, link)
      const filtered = (body: Buffer): Buffer => filteredBody(plan.requestBody, body)
      return new SimUpstream({ world, ledger: this.#ledger, address, filtered, ...rest })
    })
    this.#clients = drawClients(random, topology).map((client) => new SimClient(world, client))
    for (const { plan: client } of this.#clients) {
      for (const request of client.requests) this.#ledger.requests.set(request.id, request)
    }
  }

  async run(): Promise<void> {
    const proxy = await this.#startProxy()
    for (const client of this.#clients) client.start(PROXY)
    this.#scheduleFaults()
    this.#scheduleStop(proxy)
    await this.#world.advance(this.#topology.durationMs)
    this.#healAll()
    await this.#settle()
    await this.#stop(proxy)
    this.#judge(proxy)
  }

  async #startProxy(): Promise<TestProxy> {
    const { env, network } = this.#world
    const { selection, healthCheckEveryMs, maxRetries, poolSize, graceSeconds } = this.#plan
    const { timeouts, maxRetryBytes, abortOnClose, maxConnections } = this.#plan
    const addresses = this.#upstreams.map(({ address }) => address)
    const made = LoadBalancer.tryFromIter(addresses, { env, selection })
    const balancer = await this.#world.run(made)
    balancer.setHealthCheck(new TcpHealthCheck())
    balancer.healthCheckFrequencyMs = healthCheckEveryMs
    network.setLink(PROXY, drawLink(this.#random, this.#topology.isCalm))
    return this.#world.proxy(this.#hooks(balancer), {
      conf: { maxRetries, upstreamKeepalivePoolSize: poolSize, gracePeriodSeconds: graceSeconds },
      options: { timeouts, maxRetryBytes, abortOnClose, maxConnections },
      listen: PROXY,
      background: balancer,
    })
  }

  #hooks(balancer: LoadBalancer): ReturnType<typeof makeHooks> {
    const tlsNames = new Map(this.#topology.upstreams.map((each) => [each.address, each.sni]))
    return makeHooks({
      world: this.#world,
      ledger: this.#ledger,
      plan: this.#plan,
      balancer,
      tlsNames,
      onConnected: (peerAddress, localAddress) => {
        const sim = this.#upstreams.find(({ address }) => address === peerAddress)
        const isIt = (peer: {
          readonly connection: { readonly digest: { peerAddress: string } }
        }) => peer.connection.digest.peerAddress === localAddress
        const peer = sim?.upstream.connections.findLast(isIt)
        if (peer !== undefined) sim?.watch(peer)
      },
    })
  }

  #scheduleFaults(): void {
    for (const { atMs, forMs, kind, at } of drawFaults(this.#random, this.#topology)) {
      this.#world.clock.schedule(atMs, () => {
        this.#breakDown(kind, at)
      })
      this.#world.clock.schedule(atMs + forMs, () => {
        this.#heal(at)
      })
    }
  }

  #breakDown(kind: string, at: number): void {
    const { network } = this.#world
    const sim = this.#upstreams[at]
    if (sim === undefined) {
      // The way to the proxy itself.
      if (kind === 'partition') network.partition(PROXY)
      return
    }
    this.#world.note(`fault ${kind} ${sim.address}`)
    if (kind === 'down') sim.upstream.down()
    else if (kind === 'blackhole') sim.upstream.blackhole()
    else if (kind === 'partition') sim.upstream.partition()
    else if (kind === 'resetAll') network.resetAll(sim.address)
    else if (kind === 'stopReading') sim.stopReading(this.#random.int(100, 15_000))
    else sim.speakUnasked()
  }

  #heal(at: number): void {
    const sim = this.#upstreams[at]
    if (sim === undefined) this.#world.network.heal(PROXY)
    else {
      sim.upstream.heal()
      sim.upstream.up()
    }
  }

  #healAll(): void {
    for (let at = 0; at <= this.#upstreams.length; at++) this.#heal(at)
  }

  #scheduleStop(proxy: TestProxy): void {
    const { stopsAtMs } = this.#topology
    if (stopsAtMs === null) return
    this.#world.clock.schedule(stopsAtMs, () => {
      this.#stopping = proxy.stop('graceful')
      // Looked at when all is over.
      this.#stopping.catch(() => undefined)
    })
  }

  /** From here on nothing new begins; every time-out passes, and then nobody may wait any more. */
  async #settle(): Promise<void> {
    const { counters } = this.#world
    const isOver = (): boolean =>
      counters.get('downstreamConnectionsOpen') === 0 &&
      this.#clients.every((client) => client.isDone || client.isStalled)
    try {
      await this.#world.until(isOver, 'all clients to be served', SETTLE_MS)
    } catch (thrown) {
      if (thrown instanceof Error && !thrown.message.startsWith('waited in vain')) throw thrown
      const waiting = this.#clients.filter((client) => !client.isDone && !client.isStalled)
      const names = waiting.map(({ plan, address, waits }) => {
        return `${plan.name} at ${address} ${waits ? 'waits' : 'is idle'}`
      })
      const open = counters.get('downstreamConnectionsOpen')
      const text = `${open} connections open, ${SETTLE_MS} ms later: ${names.join(', ')}`
      throw new Violation('liveness', text)
    }
    for (const client of this.#clients) client.close()
  }

  async #stop(proxy: TestProxy): Promise<void> {
    const { clock } = this.#world
    const startMs = clock.nowMs()
    await (this.#stopping ?? proxy.stop('graceful'))
    const tookMs = clock.nowMs() - startMs
    if (tookMs > STOP_MS) throw new Violation('stop', `took ${tookMs} ms with nobody connected`)
    await this.#world.advance(AFTERWARDS_MS)
  }

  #judge(proxy: TestProxy): void {
    const { sessions } = proxy
    const byId = sessionsById(sessions, idIn)
    const { maxRetries, responseBody } = this.#plan
    judgeSessions(byId, this.#ledger, maxRetries)
    judgeCaptures(
      this.#upstreams.map(({ upstream }) => upstream),
      this.#ledger,
      maxRetries,
    )
    const { toDialler, toListener } = this.#world.network.link(PROXY).resetAfterBytes
    const wasCut =
      Math.min(toDialler, toListener) < Infinity ||
      this.#world.log.some(({ message }) => message.includes('grace period is over'))
    const known = {
      ledger: this.#ledger,
      sessions: byId,
      filtered: (body: Buffer): Buffer => filteredBody(responseBody, body),
      isCalm: this.#topology.isCalm,
      wasCut,
    }
    for (const client of this.#clients) judgeClient(client, known)
    judgeCounters(this.#world, sessions)
  }
}

const PROXY = '10.0.0.254:80'
/** More than all time-outs of a request with pipelined ones before it, one after the other. */
const SETTLE_MS = 600_000
/** What a stop may take when there is nothing left to do. */
const STOP_MS = 5_000
/** Ends on the way arrive. */
const AFTERWARDS_MS = 2_000
