/** Worlds full of tunnels: clients ask for an upgrade, and then both sides do what is drawn for them. */
import type { ProxyHttp } from '../../src/proxy/index.js'
import type { RecordedSession } from '../../src/testing/hook-recorder.js'
import type { SeededRandom, TestWorld } from '../../src/testing/index.js'
import { TestPeer } from '../../src/testing/test-peer.js'
import { HttpPeer, parseSocketAddress } from '../../src/transport/index.js'
import { bytesOf, firstDifference } from './byte-stream.js'
import { drawLink } from './world-plan.js'

/** What one side of a tunnel does. */
interface SidePlan {
  readonly stream: Buffer
  /** Where the stream is cut, and how long each piece waits. */
  readonly pieces: readonly { readonly to: number; readonly afterMs: number }[]
  /** Behind the last piece. */
  readonly ending: 'end' | 'reset' | 'stay'
  /** Stops reading once that many bytes have come, for a while. */
  readonly pause: { readonly bytes: number; readonly forMs: number } | null
}

interface TunnelPlan {
  readonly id: string
  readonly startMs: number
  /** Whether the client does not wait for the 101. */
  readonly isEarly: boolean
  readonly isGranted: boolean
  readonly grantAfterMs: number
  readonly client: SidePlan
  readonly origin: SidePlan
}

/** How a filter treats the pieces of a direction. */
type FilterKind = 'absent' | 'same' | 'flip' | 'late'

/** Lives through one world. @throws an error (rejects) that says what is wrong with which tunnel. */
export async function runTunnels(world: TestWorld): Promise<void> {
  const random = world.random.fork('tunnels')
  const filters = { up: random.pick(FILTERS), down: random.pick(FILTERS) }
  for (const address of [PROXY, ORIGIN]) world.network.setLink(address, drawLink(random, true))
  const plans = Array.from({ length: random.int(1, 6) }, (_, n) => drawTunnel(`t${n}`, random))
  const tunnels = new Map(plans.map((plan) => [plan.id, new SimTunnel(world, plan)]))
  const listener = await world.run(
    world.network.listen(parseSocketAddress(ORIGIN), {}, (connection) => {
      const peer = new TestPeer(world, connection, {
        onChange: () => {
          for (const tunnel of tunnels.values()) if (tunnel.origin?.peer === peer) tunnel.changed()
          takeRequest(peer, tunnels)
        },
      })
    }),
  )
  const proxy = await world.proxy(hooksOf(world, random, filters), { listen: PROXY })
  for (const tunnel of tunnels.values()) tunnel.start()
  const isOver = (): boolean =>
    [...tunnels.values()].every((tunnel) => tunnel.isOver) &&
    world.counters.get('downstreamConnectionsOpen') === 0
  await world.until(isOver, 'all tunnels to end', SETTLE_MS)
  await proxy.stop()
  await world.run(listener.close())
  for (const tunnel of tunnels.values()) {
    tunnel.judge(proxy.sessions, filters)
    tunnel.close()
  }
  const granted = plans.filter(({ isGranted }) => isGranted).length
  check(world.counters.get('tunnels') <= granted, 'no more tunnels than were granted')
  check(world.counters.get('tunnelsOpen') === 0, 'no tunnel counts as open')
  check(proxy.sessions.length <= plans.length, 'nothing in a tunnel becomes a request')
}

/** One side: sends its stream, piece by piece. */
class Side {
  readonly peer: TestPeer
  readonly plan: SidePlan
  /** Whether the last piece has been sent, and the ending with it. */
  isDone = false
  readonly #world: TestWorld
  #next = 0
  #hasPaused = false

  constructor(world: TestWorld, peer: TestPeer, plan: SidePlan) {
    this.#world = world
    this.peer = peer
    this.plan = plan
  }

  /** What has come through the tunnel. */
  get received(): Buffer {
    const { received, restBytes } = this.peer
    return received.subarray(received.length - restBytes)
  }

  sendOn(): void {
    const { pieces, stream, ending } = this.plan
    const piece = pieces[this.#next]
    if (piece !== undefined) {
      this.#world.clock.schedule(piece.afterMs, () => {
        this.peer.send(stream.subarray(pieces[this.#next - 1]?.to ?? 0, piece.to))
        this.#next++
        this.sendOn()
      })
      return
    }
    this.isDone = true
    if (ending === 'end') this.peer.end()
    if (ending === 'reset') this.peer.reset()
  }

  changed(): void {
    const { pause } = this.plan
    if (pause === null || this.#hasPaused || this.peer.restBytes < pause.bytes) return
    this.#hasPaused = true
    this.peer.pause()
    this.#world.clock.schedule(pause.forMs, () => {
      this.peer.resume()
    })
  }
}

class SimTunnel {
  readonly plan: TunnelPlan
  client: Side | null = null
  origin: Side | null = null
  readonly #world: TestWorld
  /** Of the answer; 0: none has come. */
  #status = 0

  constructor(world: TestWorld, plan: TunnelPlan) {
    this.plan = plan
    this.#world = world
  }

  get isOver(): boolean {
    return this.client !== null && isOver(this.client) && (!this.origin || isOver(this.origin))
  }

  start(): void {
    this.#world.clock.schedule(this.plan.startMs, () => {
      void this.#connect()
    })
  }

  async #connect(): Promise<void> {
    const connection = await this.#world.network.dial(parseSocketAddress(PROXY), {})
    const peer = new TestPeer(this.#world, connection, {
      onChange: () => {
        this.#answerComes()
        this.changed()
      },
    })
    this.client = new Side(this.#world, peer, this.plan.client)
    peer.send(
      `GET /${this.plan.id} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: sim\r\n\r\n`,
    )
    if (this.plan.isEarly) this.client.sendOn()
  }

  /** The origin has the request. */
  asked(peer: TestPeer): void {
    const { isGranted, grantAfterMs, origin } = this.plan
    const side = new Side(this.#world, peer, origin)
    this.origin = side
    this.#world.clock.schedule(grantAfterMs, () => {
      check(peer.restBytes === 0, `${this.plan.id}: nothing goes up before the 101`)
      // A client that did not wait may have ended, and is gone then.
      if (peer.ended) {
        peer.end()
        return
      }
      peer.send(isGranted ? GRANT : REFUSAL)
      if (isGranted) side.sendOn()
      else peer.end()
    })
  }

  changed(): void {
    this.client?.changed()
    this.origin?.changed()
  }

  close(): void {
    this.client?.peer.destroy()
    this.origin?.peer.destroy()
  }

  #answerComes(): void {
    const { client } = this
    if (client === null || this.#status !== 0) return
    const answer = client.peer.nextMessage('GET')
    if (answer === null) return
    this.#status = answer.status
    if (answer.status !== 101) client.peer.end()
    else if (!this.plan.isEarly) client.sendOn()
  }

  judge(sessions: readonly RecordedSession[], filters: { up: FilterKind; down: FilterKind }): void {
    const { id, isGranted, client, origin } = this.plan
    const mine = sessions.filter(({ session }) => session.reqHeader.target === `/${id}`)
    const [recorded] = mine
    check(mine.length === 1 && recorded?.loggings === 1, `${id}: is logged once`)
    const { client: left, origin: right } = this
    if (left === null || recorded === undefined) return
    // A client that resets while it waits for the answer gets none.
    if (!isGranted || this.#status !== 101) {
      const gone = this.plan.isEarly && client.ending !== 'stay'
      check(this.#status === 403 || gone, `${id}: ${this.#status} to what was refused`)
      check((right?.received.length ?? 0) === 0, `${id}: nothing goes up without the 101`)
      return
    }
    if (right === null) throw new Error(`${id}: a 101 of nobody`)
    const isWhole = client.ending === 'end' && origin.ending === 'end'
    compare(`${id} up`, right.received, filtered(filters.up, client.stream), isWhole)
    compare(`${id} down`, left.received, filtered(filters.down, origin.stream), isWhole)
    const code = recorded.error?.code ?? ''
    check(isWhole === (code === ''), `${id}: ended with ${code}`)
    if (isWhole) check(left.peer.ended && right.peer.ended, `${id}: both sides see the end`)
    const isIdle = client.ending !== 'reset' && origin.ending !== 'reset' && !isWhole
    if (isIdle) check(code === 'PGR_TUNNEL_TIMEOUT', `${id}: idle, but ended with ${code}`)
  }
}

function takeRequest(peer: TestPeer, tunnels: ReadonlyMap<string, SimTunnel>): void {
  if ([...tunnels.values()].some(({ origin }) => origin?.peer === peer)) return
  const request = peer.nextMessage('')
  if (request === null) {
    if (peer.ended) peer.end()
    return
  }
  tunnels.get(/^GET \/(\w+) /.exec(request.startLine)?.[1] ?? '')?.asked(peer)
}

/** Who was told of the end, and has nothing to say, learns of nothing that comes after it. */
function isOver({ peer, plan }: Side): boolean {
  const isDeaf = peer.ended && plan.ending === 'stay'
  return isDeaf || peer.closed || peer.connection.destroyed
}

function hooksOf(
  world: TestWorld,
  random: SeededRandom,
  { up, down }: { up: FilterKind; down: FilterKind },
): ProxyHttp<unknown> {
  const make =
    (kind: FilterKind) =>
    (_session: unknown, body: Buffer | undefined): undefined | Buffer | Promise<undefined> => {
      if (kind === 'flip') return body && flip(body)
      return kind === 'late' ? world.sleep(random.int(0, 20)).then(() => undefined) : undefined
    }
  return {
    newCtx: () => ({}),
    upstreamPeer: () => new HttpPeer(ORIGIN, { tunnelTimeoutMs: TUNNEL_MS }),
    logging: () => undefined,
    ...(random.chance(0.3) && { responseFilter: () => world.sleep(random.int(0, 50)) }),
    ...(up !== 'absent' && { requestBodyFilter: make(up) }),
    ...(down !== 'absent' && { responseBodyFilter: make(down) }),
  }
}

function drawTunnel(id: string, random: SeededRandom): TunnelPlan {
  return {
    id,
    startMs: random.int(0, 2_000),
    isEarly: random.chance(0.3),
    isGranted: random.chance(0.85),
    grantAfterMs: random.pick([0, 1, random.int(0, 3_000)]),
    client: drawSide(`${id} client`, random),
    origin: drawSide(`${id} origin`, random),
  }
}

function drawSide(name: string, random: SeededRandom): SidePlan {
  const stream = bytesOf(name, random.pick([0, 1, random.int(0, 2_000), random.int(0, 200_000)]))
  const pieces: { to: number; afterMs: number }[] = []
  const longest = random.pick([10, 1_000, 100_000])
  for (let to = 0; to < stream.length && pieces.length < 50;) {
    to = pieces.length === 49 ? stream.length : Math.min(stream.length, to + random.int(1, longest))
    pieces.push({ to, afterMs: random.pick([0, 0, random.int(0, 500)]) })
  }
  const kind = random.next()
  return {
    stream,
    pieces,
    ending: kind < 0.8 ? 'end' : kind < 0.92 ? 'reset' : 'stay',
    pause: random.chance(0.3)
      ? { bytes: random.int(0, 20_000), forMs: random.int(0, 10_000) }
      : null,
  }
}

function filtered(kind: FilterKind, bytes: Buffer): Buffer {
  return kind === 'flip' ? flip(bytes) : bytes
}

function flip(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte) => byte ^ 0xff))
}

/** What was cut must be right as far as it came. */
function compare(what: string, got: Buffer, sent: Buffer, isWhole: boolean): void {
  const at = firstDifference(got, isWhole ? sent : sent.subarray(0, got.length))
  if (at >= 0) throw new Error(`${what}: ${got.length} of ${sent.length} bytes, different at ${at}`)
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`it does not hold: ${what}`)
}

const PROXY = '10.0.0.254:80'
const ORIGIN = '10.0.0.1:80'
const GRANT = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: sim\r\n\r\n'
const REFUSAL = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'
const FILTERS = ['absent', 'absent', 'same', 'flip', 'late'] as const
const TUNNEL_MS = 60_000
const SETTLE_MS = 1_200_000
