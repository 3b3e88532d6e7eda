/** What a simulated world is like: upstreams, links, faults over time, and clients. */
import type { LinkOptions, LinkSplit, SeededRandom } from '../../src/testing/index.js'
import type { Temper } from './answer-plan.js'
import type { ClientPlan, Leaving } from './sim-client.js'
import { drawRequest } from './sim-request.js'
import type { SimRequest } from './sim-request.js'

/** One upstream. */
export interface UpstreamPlan {
  readonly address: string
  readonly link: LinkOptions
  /** Its certificate's name; empty: no TLS. */
  readonly tlsName: string
  /** The name that the proxy verifies; empty: no TLS. */
  readonly sni: string
  readonly temper: Temper
  readonly trapShare: number
  readonly restlessShare: number
}

/** The world as drawn. */
export interface Topology {
  /** Nothing goes wrong: then everything must succeed. */
  readonly isCalm: boolean
  /** For how long clients come. */
  readonly durationMs: number
  readonly upstreams: readonly UpstreamPlan[]
  readonly maxBodyBytes: number
  /** When a graceful stop begins; `null`: only at the end. */
  readonly stopsAtMs: number | null
}

/** What goes wrong, where and for how long. */
export interface FaultPlan {
  readonly kind: FaultKind
  /** Index of the upstream; that of no upstream means the proxy's own address. */
  readonly at: number
  readonly atMs: number
  readonly forMs: number
}

type FaultKind = (typeof FAULTS)[number]

/** Draws the world. */
export function drawTopology(random: SeededRandom): Topology {
  const isCalm = random.chance(0.2)
  const durationMs = random.int(10, 180) * 1_000
  const maxBodyBytes = random.pick([500, 5_000, 40_000, 300_000])
  const count = random.int(1, 4)
  const upstreams = Array.from({ length: count }, (_, index) =>
    drawUpstream(random, index, { isCalm, maxBodyBytes }),
  )
  const stops = !isCalm && random.chance(0.15)
  const stopsAtMs = stops ? random.int(1_000, durationMs) : null
  return { isCalm, durationMs, upstreams, maxBodyBytes, stopsAtMs }
}

function drawUpstream(
  random: SeededRandom,
  index: number,
  { isCalm, maxBodyBytes }: { readonly isCalm: boolean; readonly maxBodyBytes: number },
): UpstreamPlan {
  const tlsName = random.chance(0.2) ? 'up.test' : ''
  const isWrong = !isCalm && random.chance(0.05)
  const faultShare = isCalm ? 0 : random.pick([0, 0.1, 0.1, 0.4])
  return {
    address: `10.0.0.${index + 1}:80`,
    link: drawLink(random, isCalm),
    tlsName,
    sni: isWrong ? 'wrong.test' : tlsName,
    temper: {
      faultShare,
      maxBodyBytes,
      maxDelayMs: random.pick([0, 20, 300, isCalm ? 300 : 3_000]),
    },
    trapShare: isCalm ? 0 : random.pick([0, 0.05, 0.2]),
    restlessShare: isCalm ? 0 : random.pick([0, 0.1, 0.4]),
  }
}

/** How bytes travel. Slow links still carry all that their buffer holds within a second or so. */
export function drawLink(random: SeededRandom, isCalm: boolean): LinkOptions {
  const bufferBytes = random.pick([1_000, 4_000, 16_384, 65_536, 65_536])
  const isSlow = random.chance(0.15)
  const breaks = !isCalm && random.chance(0.05)
  return {
    latencyMs: random.pick([0, 0, 1, 5, 30, 120]),
    bufferBytes,
    split: drawSplit(random),
    ...(isSlow && { bytesPerSecond: bufferBytes * random.int(2, 50) }),
    ...(breaks && {
      resetAfterBytes: {
        toListener: random.int(1, 200_000),
        toDialler: random.int(1, 200_000),
      },
    }),
  }
}

function drawSplit(random: SeededRandom): LinkSplit {
  const kind = random.next()
  if (kind < 0.4) return 'whole'
  if (kind < 0.85) return 'random'
  return [random.int(1, 100), random.int(1, 100), random.int(200, 20_000)]
}

/** Draws what goes wrong besides what upstreams and clients do by themselves. */
export function drawFaults(
  random: SeededRandom,
  { isCalm, upstreams, durationMs }: Topology,
): FaultPlan[] {
  if (isCalm || random.chance(0.3)) return []
  return Array.from({ length: random.int(1, 6) }, () => {
    const at = random.int(0, random.chance(0.1) ? upstreams.length : upstreams.length - 1)
    const kind = random.pick(FAULTS)
    return { kind, at, atMs: random.int(0, durationMs), forMs: random.int(0, 20_000) }
  })
}

/** Draws the clients' connections, with all their requests. */
export function drawClients(random: SeededRandom, topology: Topology): ClientPlan[] {
  const plans: ClientPlan[] = []
  const clients = random.int(2, 12)
  for (let client = 0; client < clients; client++) {
    const connections = random.chance(0.6) ? 1 : random.int(1, 3)
    for (let nth = 0; nth < connections; nth++) {
      plans.push(drawClient(random.fork(`client ${plans.length}`), plans.length, topology))
    }
  }
  return plans
}

function drawClient(random: SeededRandom, index: number, topology: Topology): ClientPlan {
  const { isCalm, durationMs, maxBodyBytes } = topology
  const name = `c${index}`
  const style = {
    random,
    faultShare: isCalm ? 0 : 0.03,
    maxBodyBytes,
    maxPauseMs: isCalm ? 100 : random.pick([10, 100, 2_000]),
  }
  const count = random.chance(0.3) ? 1 : random.int(1, 7)
  const requests = Array.from({ length: count }, (_, nth) => drawRequest(`${name}r${nth}`, style))
  const isRude = !isCalm && random.chance(0.25)
  return {
    name,
    startMs: drawStart(random, durationMs),
    requests,
    depth: random.chance(0.5) ? 1 : random.int(2, 4),
    maxGapMs: random.pick([0, 100, isCalm ? 1_000 : 5_000]),
    leaves: isRude && random.chance(0.6) ? drawLeaving(random, requests) : null,
    stalls: isRude && random.chance(0.3) ? drawStall(random) : null,
    breaksAfter: isRude && random.chance(0.2) ? drawBreak(random, requests) : null,
  }
}

/** Many come close together, so that connections in use and in the pool meet. */
function drawStart(random: SeededRandom, durationMs: number): number {
  if (random.chance(0.4)) return random.int(0, 200)
  return random.int(0, durationMs)
}

function drawLeaving(random: SeededRandom, requests: readonly SimRequest[]): ClientPlan['leaves'] {
  const how = random.pick<Leaving>(['end', 'reset', 'close', 'vanish'])
  const direction = random.pick(['sent', 'received'] as const)
  return { how, direction, bytes: random.int(1, wireBytes(requests)) }
}

function drawStall(random: SeededRandom): ClientPlan['stalls'] {
  return {
    bytes: random.int(1, 20_000),
    forMs: random.chance(0.3) ? Infinity : random.int(10, 15_000),
  }
}

function drawBreak(
  random: SeededRandom,
  requests: readonly SimRequest[],
): ClientPlan['breaksAfter'] {
  return { bytes: random.int(0, wireBytes(requests)), toProxy: random.chance(0.5) }
}

function wireBytes(requests: readonly SimRequest[]): number {
  const sizes = requests.flatMap(({ pieces }) => pieces.map((piece) => piece.length))
  return Math.max(
    1,
    sizes.reduce((sum, size) => sum + size, 0),
  )
}

const FAULTS = [
  'down',
  'down',
  'partition',
  'blackhole',
  'resetAll',
  'stopReading',
  'speakUnasked',
] as const
