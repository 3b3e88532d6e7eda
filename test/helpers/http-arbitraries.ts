/** Arbitrary HTTP/1 messages for fast-check: the bytes, and what must be read from them. */
import fc from 'fast-check'

/** A message as bytes (one character per byte) with what it means. */
export interface GeneratedMessage {
  readonly text: string
  readonly start: string
  readonly fields: readonly (readonly [string, string])[]
  readonly body: string
  readonly trailers: readonly (readonly [string, string])[] | null
}

const charsOf = (chars: string, minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...chars), minLength, maxLength })

const TOKEN_CHARS = "!#$%&'*+-.^_`|~0189AZaz"
const token = charsOf(TOKEN_CHARS, 1, 12)
const blank = charsOf(' \t', 0, 2)

/** A field value without blanks around it: TAB, SP, VCHAR and obs-text. */
const value = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0x21, max: 0x7e }),
      fc.integer({ min: 0x80, max: 0xff }),
      fc.constantFrom(9, 32),
    ),
    {
      maxLength: 20,
    },
  )
  .map((codes) => String.fromCharCode(...codes).replace(/^[\t ]+|[\t ]+$/g, ''))

/** Bytes that look like framing more often than chance would have it. */
const bodyText = fc
  .array(
    fc.oneof(
      fc.constantFrom('\r\n', '\r', '\n', '0\r\n\r\n', 'GET / HTTP/1.1\r\n', '\0', '\xff'),
      charsOf('abc\r\n0', 0, 30),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(''))

/** Names that mean nothing to the codec, so that the field always reaches the map. */
const field = fc.tuple(
  token.map((name) => `X${name}`),
  blank,
  value,
  blank,
)
const fields = fc.array(field, { maxLength: 8 })

const target = charsOf('/?a=1&%20;:@!~\x80\xff{}|', 0, 20).map((rest) => `/${rest}`)

interface Chunk {
  readonly data: string
  readonly extension: string
  readonly zeros: string
  readonly upper: boolean
}

const chunk: fc.Arbitrary<Chunk> = fc.record({
  data: bodyText.filter((data) => data !== ''),
  extension: fc.oneof(
    fc.constant(''),
    value.map((text) => `;${text}`),
  ),
  zeros: fc.constantFrom('', '0', '000'),
  upper: fc.boolean(),
})

interface Framed {
  readonly lines: string
  readonly coded: string
  readonly body: string
  readonly trailers: readonly (readonly [string, string])[] | null
  readonly fields: readonly (readonly [string, string])[]
}

const sized: fc.Arbitrary<Framed> = bodyText.map((body) => ({
  lines: `Content-Length: ${body.length}\r\n`,
  coded: body,
  body,
  trailers: null,
  fields: [['Content-Length', String(body.length)]],
}))

const chunked: fc.Arbitrary<Framed> = fc
  .tuple(fc.array(chunk, { maxLength: 5 }), fc.array(field, { maxLength: 3 }))
  .map(([chunks, trailerFields]) => {
    const coded = chunks.map(({ data, extension, zeros, upper }) => {
      const size = data.length.toString(16)
      return `${zeros}${upper ? size.toUpperCase() : size}${extension}\r\n${data}\r\n`
    })
    return {
      lines: 'Transfer-Encoding: chunked\r\n',
      coded: `${coded.join('')}0\r\n${linesOf(trailerFields)}\r\n`,
      body: chunks.map(({ data }) => data).join(''),
      trailers: trailerFields.length === 0 ? null : trailerFields.map(pairOf),
      fields: [],
    }
  })

const bodyless: fc.Arbitrary<Framed> = fc.constant({
  lines: '',
  coded: '',
  body: '',
  trailers: null,
  fields: [],
})

const framed = fc.oneof(bodyless, sized, chunked)

/** A valid HTTP/1.1 request that keeps its connection. */
export const requestMessage: fc.Arbitrary<GeneratedMessage> = fc
  .record({
    emptyLines: fc.integer({ min: 0, max: 4 }),
    // A name that starts with X is none of the methods with rules of their own.
    method: fc.oneof(
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
      token.map((name) => `X${name}`),
    ),
    target,
    before: fields,
    after: fields,
    framed,
  })
  .map(({ emptyLines, method, target: path, before, after, framed: body }) => {
    const start = `${method} ${path} HTTP/1.1`
    const head = `${start}\r\n${linesOf(before)}Host: h.test\r\n${body.lines}${linesOf(after)}\r\n`
    return {
      text: '\r\n'.repeat(emptyLines) + head + body.coded,
      start,
      fields: [
        ...before.map(pairOf),
        ['Host', 'h.test'] as const,
        ...body.fields,
        ...after.map(pairOf),
      ],
      body: body.body,
      trailers: body.trailers,
    }
  })

/** A valid HTTP/1.1 response to GET that keeps its connection. */
export const responseMessage: fc.Arbitrary<GeneratedMessage> = fc
  .record({
    status: fc.integer({ min: 200, max: 999 }).filter((code) => code !== 204 && code !== 304),
    reason: value,
    before: fields,
    framed: fc.oneof(sized, chunked),
  })
  .map(({ status, reason, before, framed: body }) => {
    const start = `HTTP/1.1 ${status} ${reason}`
    return {
      text: `${start}\r\n${linesOf(before)}${body.lines}\r\n${body.coded}`,
      start,
      fields: [...before.map(pairOf), ...body.fields],
      body: body.body,
      trailers: body.trailers,
    }
  })

/** Places to cut an input of any length at. */
export const cuts: fc.Arbitrary<number[]> = fc.array(fc.nat({ max: 100_000 }), { maxLength: 12 })

function linesOf(list: readonly (readonly [string, string, string, string])[]): string {
  return list.map(([name, lead, text, trail]) => `${name}:${lead}${text}${trail}\r\n`).join('')
}

function pairOf([name, , text]: readonly [string, string, string, string]): readonly [
  string,
  string,
] {
  return [name, text]
}
