/** How upstreams answer: well, late, broken, too much, in every way that is drawn. */
import { reply } from '../../src/testing/index.js'
import type { ReplyFields, SeededRandom } from '../../src/testing/index.js'
import { Reply } from '../../src/testing/reply-steps.js'
import { bytesOf } from './byte-stream.js'
import { chunks, drawPad, drawSize } from './sim-request.js'

/** What an upstream is about to send. */
export interface AnswerPlan {
  readonly reply: Reply
  readonly status: number
  /** Its whole body, cut or not; empty where the status or the method allow none. */
  readonly body: Buffer
  readonly trailers: readonly Field[]
  /** The value of its `X-Pad`; empty: it has none. */
  readonly pad: string
  /** Whether it may reach the client as a whole response. */
  readonly legal: boolean
  /** Sent in the same write behind it, and no part of it. */
  readonly stray: Buffer | null
  /** The key of the response in `stray`; empty when that is none. */
  readonly strayKey: string
}

type Field = readonly [name: string, value: string]

/** How the upstreams of a world are. */
export interface Temper {
  /** Share of answers with something wrong. */
  readonly faultShare: number
  readonly maxBodyBytes: number
  /** Longest time before an answer, and between its pieces. */
  readonly maxDelayMs: number
}

/** Draws the answer that is marked with `key` to a request with `method`. */
export function drawAnswer(
  key: string,
  method: string,
  temper: Temper,
  random: SeededRandom,
): AnswerPlan {
  const isBad = random.chance(temper.faultShare)
  if (isBad && random.chance(0.25)) return worthless(random)
  const plan = wellFormed(key, method, temper, random)
  const late = inItsOwnTime(plan.reply, temper, random)
  const early = random.chance(0.12) ? withInterims(key, late, random) : late
  if (!isBad) return { ...plan, reply: early }
  return spoilt(key, { ...plan, reply: early }, random)
}

/** Says nothing that could be an answer. */
function worthless(random: SeededRandom): AnswerPlan {
  const replies = [reply.never(), reply.close(), reply.reset(), reply.garbage(random), TOO_MANY]
  return { ...NOTHING, reply: random.pick(replies) }
}

function wellFormed(key: string, method: string, temper: Temper, random: SeededRandom): AnswerPlan {
  const status = random.pick(STATUSES)
  const isBodyless = status === 204 || status === 304
  const content = isBodyless ? EMPTY : bytesOf(`answer ${key}`, drawBodySize(temper, random))
  const body = method === 'HEAD' ? EMPTY : content
  const pad = drawPad(key, random)
  const fields = answerFields(key, pad, random)
  const facts = { status, body, pad, legal: true, stray: null, strayKey: '' }
  const kind = isBodyless ? 'length' : random.pick(FRAMINGS)
  const keepAlive = !random.chance(0.08)
  if (kind === 'length') {
    const whole = random.chance(0.1)
      ? oldReply(status, content, fields, random)
      : reply(status, content, { headers: fields, keepAlive })
    return { ...facts, trailers: [], reply: method === 'HEAD' ? whole.withoutBody() : whole }
  }
  if (kind === 'chunked') {
    const trailers: Field[] = random.chance(0.4) ? [['X-Trailer', key]] : []
    const head = `HTTP/1.1 ${status} ${random.pick(['OK', 'Fine', ''])}\r\n`
    const framing: Field[] = [...fields, ['Transfer-Encoding', 'chunked']]
    const bytes = chunks(content, trailers, random)
    const first = reply.raw(`${head}${lines(framing)}\r\n`)
    const whole = method === 'HEAD' ? first : first.followedBy(reply.raw(bytes))
    return { ...facts, trailers, reply: whole }
  }
  const version = random.pick(['1.0', '1.1'])
  // Where there is no body nothing but this field tells that the connection ends.
  if (method === 'HEAD' || random.chance(0.5)) fields.push(['Connection', 'close'])
  const head = reply.raw(`HTTP/${version} ${status} OK\r\n${lines(fields)}\r\n`)
  const whole = method === 'HEAD' ? head : head.followedBy(reply.raw(content))
  return { ...facts, trailers: [], reply: whole.followedBy(reply.close()) }
}

/** As servers answer that speak HTTP/1.0: they say so when the connection stays. */
function oldReply(
  status: number,
  content: Buffer,
  fields: readonly Field[],
  random: SeededRandom,
): Reply {
  const stays = random.chance(0.5)
  const connection: Field[] = stays ? [['Connection', 'keep-alive']] : []
  const length: Field[] =
    status === 204 || status === 304 ? [] : [['Content-Length', String(content.length)]]
  const head = `HTTP/1.0 ${status} OK\r\n${lines([...fields, ...connection, ...length])}\r\n`
  const whole = new Reply([
    { kind: 'send', part: 'head', bytes: Buffer.from(head, 'latin1') },
    { kind: 'send', part: 'body', bytes: content },
  ])
  return stays ? whole : whole.followedBy(reply.close())
}

/** Fields that pass, and hop-by-hop ones that do not. */
function answerFields(key: string, pad: string, random: SeededRandom): Field[] {
  const fields: Field[] = [['X-Answer', key]]
  if (random.chance(0.15)) fields.push(['Connection', 'X-Hop'], ['X-Hop', 'secret'])
  if (random.chance(0.1)) fields.push(['Keep-Alive', 'timeout=9'])
  if (random.chance(0.05)) fields.push(['Proxy-Authenticate', 'Basic'])
  if (random.chance(0.2)) fields.push(['Date', 'Mon, 01 Jan 2024 00:00:00 GMT'])
  if (pad !== '') fields.push(['X-Pad', pad])
  return fields
}

function drawBodySize({ maxBodyBytes }: Temper, random: SeededRandom): number {
  return random.chance(0.1) ? 0 : drawSize(random, maxBodyBytes)
}

/** Some answers take their time, some come in pieces. */
function inItsOwnTime(answer: Reply, { maxDelayMs }: Temper, random: SeededRandom): Reply {
  let late = answer
  if (random.chance(0.1)) {
    const pieces = random.int(2, 8)
    const size = Math.max(1, Math.ceil(answer.bytes.length / pieces))
    late = late.slowly(size, random.int(0, maxDelayMs))
  }
  return random.chance(0.4) ? late.after(random.int(0, maxDelayMs)) : late
}

function withInterims(key: string, answer: Reply, random: SeededRandom): Reply {
  const hint: ReplyFields = [['X-Answer', key]]
  const first = reply.interim(103, hint)
  const second = random.chance(0.3) ? first.followedBy(reply.interim(102, hint)) : first
  return random.chance(0.5)
    ? second.followedBy(answer)
    : second.followedBy(answer.after(random.int(0, 50)))
}

/** Takes a good answer and breaks it, or adds what does not belong to it. */
function spoilt(key: string, plan: AnswerPlan, random: SeededRandom): AnswerPlan {
  const length = plan.reply.bytes.length
  // Behind its end nothing can be said on a connection.
  const isUntilClose = plan.reply.steps.at(-1)?.kind === 'end'
  const drawn = random.pick(SPOILS)
  switch (isUntilClose && drawn !== 'smuggle' ? 'cut' : drawn) {
    case 'cut': {
      const how = random.pick(['end', 'reset', 'stall'] as const)
      // A body that ends with the connection is whole wherever it ends.
      const safe = isUntilClose && how === 'end' ? 'reset' : how
      return { ...plan, reply: plan.reply.cutAfter(random.int(0, length - 1), safe) }
    }
    case 'twice': {
      const strayKey = `${key}-again`
      const fields = lines([['X-Answer', strayKey]])
      const stray = Buffer.from(`HTTP/1.1 200 OK\r\n${fields}Content-Length: 5\r\n\r\nstray`)
      return { ...plan, stray, strayKey }
    }
    case 'leftover':
      return { ...plan, stray: Buffer.from(random.pick(['\r\n', 'x', 'leftover bytes'])) }
    case 'smuggle': {
      const text = `HTTP/1.1 200 OK\r\n${lines([['X-Answer', key]])}${random.pick(BAD_FRAMINGS)}\r\n\r\nabc`
      return { ...NOTHING, reply: reply.raw(text) }
    }
  }
}

function lines(fields: readonly Field[]): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
}

const EMPTY: Buffer = Buffer.alloc(0)
const STATUSES = [200, 200, 200, 200, 200, 200, 201, 204, 304, 404, 500, 503]
const FRAMINGS = [
  'length',
  'length',
  'length',
  'length',
  'chunked',
  'chunked',
  'chunked',
  'close',
] as const
const SPOILS = ['cut', 'cut', 'cut', 'twice', 'leftover', 'smuggle'] as const
const BAD_FRAMINGS = [
  'Content-Length: 3\r\nTransfer-Encoding: chunked',
  'Content-Length: 3\r\nContent-Length: 3',
  'Content-Length: +3',
  'Transfer-Encoding: gzip',
]
/** What is no answer at all. */
const NOTHING: Omit<AnswerPlan, 'reply'> = {
  status: 0,
  body: EMPTY,
  trailers: [],
  pad: '',
  legal: false,
  stray: null,
  strayKey: '',
}
/** More interim responses than anybody needs. */
const TOO_MANY: Reply = reply.raw('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(40))
