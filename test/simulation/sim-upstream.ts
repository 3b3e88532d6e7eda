/** An upstream of the simulation: answers as drawn, has moods, and checks every request it gets. */
import type {
  Answer,
  Reply,
  ScriptedUpstream,
  SeededRandom,
  TestPeer,
  TestWorld,
  UpstreamRequest,
} from '../../src/testing/index.js'
import { reply } from '../../src/testing/index.js'
import { drawAnswer } from './answer-plan.js'
import type { Temper } from './answer-plan.js'
import { firstDifference } from './byte-stream.js'
import type { Ledger } from './ledger.js'
import type { SimRequest } from './sim-request.js'

/** What a {@link SimUpstream} is made from. */
export interface SimUpstreamParts {
  readonly world: TestWorld
  readonly ledger: Ledger
  readonly address: string
  /** Its certificate's name; empty: no TLS. */
  readonly tlsName: string
  readonly temper: Temper
  /** Share of requests that meet something unusual at their first byte. */
  readonly trapShare: number
  /** Share of answers after which the connection does not just stay idle. */
  readonly restlessShare: number
  /** How a request body looks when it comes here. */
  readonly filtered: (body: Buffer) => Buffer
}

/** What is going on on one connection. */
interface Channel {
  readonly peer: TestPeer
  /** How far a request has come that is not whole yet. */
  progress: 'none' | 'begun' | 'head'
  /** Whether that request has got its answer all the same. */
  answeredEarly: boolean
  /** Bytes that will have been written when the latest answer is out. */
  busyUntil: number
}

/** Answers on `address` until the world closes. */
export class SimUpstream {
  readonly upstream: ScriptedUpstream
  readonly #parts: SimUpstreamParts
  readonly #random: SeededRandom
  readonly #channels = new Map<TestPeer, Channel>()
  #unasked = 0

  constructor(parts: SimUpstreamParts) {
    const { world, address, tlsName } = parts
    this.#parts = parts
    this.#random = world.random.fork(`upstream ${address}`)
    this.upstream = world.upstream(address, {
      answer: (request, peer) => this.#answer(request, peer),
      ...(tlsName !== '' && { tls: tlsName }),
    })
  }

  get address(): string {
    return this.#parts.address
  }

  /** Looks at the requests of a connection from their first byte. */
  watch(peer: TestPeer): Channel {
    const known = this.#channels.get(peer)
    if (known !== undefined) return known
    const channel: Channel = { peer, progress: 'none', answeredEarly: false, busyUntil: 0 }
    this.#channels.set(peer, channel)
    peer.onBytes = () => {
      if (channel.progress !== 'head') this.#requestComes(channel)
    }
    return channel
  }

  /** Says something on an idle connection, where there is one. */
  speakUnasked(): void {
    for (const channel of this.#channels.values()) {
      if (!isIdle(channel)) continue
      this.#speak(channel.peer)
      return
    }
  }

  /** Stops reading for a while on all connections that there are. */
  stopReading(forMs: number): void {
    const peers = [...this.#channels.keys()]
    for (const peer of peers) peer.pause()
    this.#parts.world.clock.schedule(forMs, () => {
      for (const peer of peers) peer.resume()
    })
  }

  // Whole requests

  #answer(request: UpstreamRequest, peer: TestPeer): Answer | undefined {
    const channel = this.watch(peer)
    channel.progress = 'none'
    const id = this.#check(request)
    if (channel.answeredEarly) {
      channel.answeredEarly = false
      return undefined
    }
    if (peer.connection.destroyed) return undefined
    if (this.#random.chance(this.#parts.restlessShare)) this.#becomeRestless(channel)
    return this.#draw(id, request.method, channel)
  }

  /** A request that came whole must be the client's, byte for byte. Returns its id. */
  #check(request: UpstreamRequest): string {
    const id = idIn(request.target)
    const sent = this.#parts.ledger.requests.get(id)
    const fault =
      sent === undefined
        ? `a request that nobody made: ${request.startLine}`
        : differenceOf(request, sent, this.#parts.filtered)
    const { ledger } = this.#parts
    if (fault !== '') ledger.fail('request-bytes', `${id} at ${this.address}: ${fault}`)
    const hop = request.headers.entries.find(([name]) => HOP_BY_HOP.test(name))
    if (hop !== undefined) {
      ledger.fail('hop-by-hop', `${id} at ${this.address}: ${hop.join(': ')}`)
    }
    return id
  }

  #draw(id: string, method: string, channel: Channel): Reply {
    const { ledger, temper, world } = this.#parts
    const key = ledger.nextKey(id)
    const plan = drawAnswer(key, method, temper, world.random.fork(`answer ${key}`))
    const sent = method === 'HEAD' ? plan.reply.withoutBody() : plan.reply
    const { status, body, trailers, pad, legal, stray, strayKey } = plan
    const { digest, bytesWritten: from } = channel.peer.connection
    const place = { id, connection: digest.peerAddress }
    ledger.answered({ ...place, key, status, body, trailers, pad, legal, from })
    const to = from + sent.bytes.length
    // Who stalls in the middle never gets to its end.
    channel.busyUntil = sent.steps.at(-1)?.kind === 'stall' ? Infinity : to
    if (stray === null) return sent
    ledger.stray(place.connection, to)
    if (strayKey !== '') ledger.answered({ ...place, ...STRAY, key: strayKey, from: to })
    channel.busyUntil += stray.length
    return sent.followedBy(reply.raw(stray))
  }

  // Requests that come

  #requestComes(channel: Channel): void {
    const { peer } = channel
    if (peer.restBytes === 0) return
    if (channel.progress === 'none') {
      channel.progress = 'begun'
      if (this.#random.chance(this.#parts.trapShare)) {
        this.#random.pick(ENDS)(peer)
        return
      }
    }
    const { rest } = peer
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return
    channel.progress = 'head'
    const head = rest.slice(0, end + 2)
    if (/^expect:/im.test(head) && this.#random.chance(0.7)) {
      peer.send('HTTP/1.1 100 Continue\r\n\r\n')
    }
    const isWhole = end + 4 === rest.length && !/^(?:content-length: [1-9]|transfer-)/im.test(head)
    if (isWhole || !this.#random.chance(this.#parts.trapShare)) return
    this.#headHasCome(channel, head)
  }

  /** A body is still to come; not every server waits for it. */
  #headHasCome(channel: Channel, head: string): void {
    const { peer } = channel
    const [method = '', target = ''] = head.split(' ', 2)
    if (this.#random.chance(0.3)) {
      peer.pause()
      this.#parts.world.clock.schedule(this.#random.int(0, 20_000), () => {
        peer.resume()
      })
      return
    }
    const answer = this.#draw(idIn(target), method, channel)
    channel.answeredEarly = true
    peer.send(answer.bytes)
    const last = answer.steps.at(-1)?.kind
    if (last === 'reset') peer.reset()
    else if (last === 'end' || (last === 'send' && this.#random.chance(0.3))) peer.end()
  }

  // Moods

  /** Soon the connection does something that its client does not expect of an idle one. */
  #becomeRestless(channel: Channel): void {
    const mood = this.#random.next()
    const act = mood < 0.3 ? this.#speak : this.#random.pick(ENDS)
    const delayMs = this.#random.pick([0, 1, 20, this.#random.int(0, 5_000)])
    this.#parts.world.clock.schedule(delayMs, () => {
      if (isIdle(channel)) act(channel.peer)
    })
  }

  readonly #speak = (peer: TestPeer): void => {
    const { ledger } = this.#parts
    const key = `unasked-${this.address}-${this.#unasked++}`
    const { digest, bytesWritten: from } = peer.connection
    const connection = digest.peerAddress
    ledger.stray(connection, from)
    ledger.answered({ ...STRAY, id: '', connection, key, from })
    peer.send(`HTTP/1.1 408 Request Timeout\r\nX-Answer: ${key}\r\nContent-Length: 5\r\n\r\nstray`)
    if (this.#random.chance(0.5)) peer.end()
  }
}

/** The id in a target; empty when there is none. */
export function idIn(target: string): string {
  return /^\/(c\d+r\d+)(?:\?|$)/.exec(target)?.[1] ?? ''
}

function isIdle({ peer, progress, busyUntil }: Channel): boolean {
  const { connection } = peer
  const isSent = connection.bytesWritten >= busyUntil && connection.pendingBytes === 0
  const isSilent = progress === 'none' && isSent
  return isSilent && !connection.destroyed && peer.restBytes === 0
}

function differenceOf(
  request: UpstreamRequest,
  sent: SimRequest,
  filtered: (body: Buffer) => Buffer,
): string {
  if (sent.fault !== '') return 'it was malformed'
  if (request.target !== sent.target) return `target ${request.target}`
  if (request.method !== sent.method) return `method ${request.method}`
  if (request.version !== '1.1') return `version ${request.version}`
  if (request.headers.get('Host') !== 'sim.test') return `Host ${request.headers.get('Host') ?? ''}`
  const pad = request.headers.get('X-Pad') ?? ''
  if (pad !== sent.pad) return `X-Pad "${pad}", not "${sent.pad}"`
  const body = filtered(sent.body)
  const at = firstDifference(request.body, body)
  if (at >= 0) return `body of ${request.body.length} bytes differs from ${body.length} at ${at}`
  const trailers = request.trailers.entries.map((field) => field.join(': ')).join()
  const wanted = sent.trailers.map((field) => field.join(': ')).join()
  return trailers === wanted ? '' : `trailers ${trailers}, not ${wanted}`
}

const STRAY = {
  status: 0,
  body: Buffer.alloc(0),
  trailers: [],
  pad: '',
  legal: false,
} as const
const ENDS: readonly ((peer: TestPeer) => void)[] = [
  (peer) => {
    peer.end()
  },
  (peer) => {
    peer.reset()
  },
  (peer) => {
    peer.destroy()
  },
]
const HOP_BY_HOP = /^(?:connection|keep-alive|te|upgrade|proxy-.*|x-hop|http2-settings)$/i
