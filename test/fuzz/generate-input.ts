/** Inputs for the fuzzer: mutated vectors, messages put together from parts, and plain noise. */
import type { Random } from './random.js'

/** Makes one input. `seeds` are texts to start from, one character per byte. */
export function generateInput(random: Random, seeds: readonly string[]): string {
  switch (random.below(8)) {
    case 0:
      return noise(random)
    case 1:
    case 2:
      return mutate(random, assemble(random, false))
    case 3:
      return mutate(random, assemble(random, true))
    case 4:
      return assemble(random, random.oneIn(2))
    case 5: {
      // Two seeds after one another: what one leaves behind, the other meets.
      return mutate(random, random.pick(seeds) + random.pick(seeds))
    }
    default:
      return mutate(random, random.pick(seeds))
  }
}

/** A copy of `text` with some bytes changed, inserted, repeated, moved or lost. */
export function mutate(random: Random, text: string): string {
  let result = text
  for (let left = random.small(6); left > 0; left--) result = mutateOnce(random, result)
  return result.slice(0, MAX_INPUT_BYTES)
}

function mutateOnce(random: Random, text: string): string {
  const at = random.below(text.length + 1)
  const length = random.small(20)
  const before = text.slice(0, at)
  switch (random.below(7)) {
    case 0:
      return before + random.pick(TOKENS) + text.slice(at)
    case 1:
      return before + random.pick(TOKENS) + text.slice(at + length)
    case 2:
      return before + text.slice(at + length)
    case 3:
      return before + text.slice(at, at + length) + text.slice(at)
    case 4:
      return before + byte(random) + text.slice(at + 1)
    case 5:
      return random.oneIn(8) ? before : before + byte(random) + text.slice(at)
    default: {
      const other = random.below(text.length + 1)
      return before + text.slice(other, other + length) + text.slice(at)
    }
  }
}

/** Messages put together by the grammar, with a wrong part now and then. */
function assemble(random: Random, isResponse: boolean): string {
  let text = ''
  for (let left = 1 + random.small(4); left > 0; left--) text += assembleOne(random, isResponse)
  return text
}

function assembleOne(random: Random, isResponse: boolean): string {
  const start = isResponse
    ? `${often(random, 'HTTP/1.1', VERSIONS)} ${often(random, '200', STATUSES)} ${random.pick(VALUES)}`
    : `${random.pick(METHODS)} ${often(random, '/a?b=1', TARGETS)} ${often(random, 'HTTP/1.1', VERSIONS)}`
  const lines = [start]
  if (!isResponse && !random.oneIn(20)) lines.push(`Host: ${often(random, 'h.test', HOSTS)}`)
  for (let left = random.small(8); left > 0; left--) {
    const name = random.oneIn(4) ? random.pick(ODD_NAMES) : random.pick(NAMES)
    lines.push(`${name}:${random.pick(BLANKS)}${random.pick(VALUES)}`)
  }
  let body = ''
  switch (random.below(4)) {
    case 0:
      body = filler(random)
      lines.push(`Content-Length: ${random.oneIn(10) ? random.below(200) : body.length}`)
      break
    case 1:
      body = chunks(random)
      lines.push('Transfer-Encoding: chunked')
      break
    default:
  }
  if (random.oneIn(60)) lines.push(`X-Long: ${'l'.repeat(random.below(70_000))}`)
  if (random.oneIn(100)) lines.push(...Array<string>(random.below(200)).fill('X-Many: v'))
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

function chunks(random: Random): string {
  let text = ''
  for (let left = random.small(5); left > 0; left--) {
    const data = filler(random)
    if (data === '') continue
    const size = random.oneIn(20) ? random.below(300) : data.length
    const zeros = random.oneIn(20) ? '0000000000000' : random.pick(['', '', '0', '000000'])
    text += `${zeros}${size.toString(16)}${extension(random)}\r\n${data}\r\n`
  }
  text += `0${extension(random)}\r\n`
  for (let left = random.small(3); left > 0; left--) {
    text += `${random.pick(NAMES)}: ${random.pick(VALUES)}\r\n`
  }
  return `${text}\r\n`
}

/** The usual part, with one of the odd ones now and then: two faults hide each other. */
function often(random: Random, usual: string, odd: readonly string[]): string {
  return random.oneIn(5) ? random.pick(odd) : usual
}

function extension(random: Random): string {
  return random.oneIn(20) ? random.pick(ODD_EXTENSIONS) : random.pick(EXTENSIONS)
}

function filler(random: Random): string {
  let text = ''
  for (let left = random.small(12); left > 0; left--) text += random.pick(TOKENS)
  return text
}

function noise(random: Random): string {
  let text = ''
  for (let left = random.small(300); left > 0; left--) {
    text += random.oneIn(3) ? random.pick(TOKENS) : byte(random)
  }
  return text
}

function byte(random: Random): string {
  return String.fromCharCode(random.below(256))
}

const MAX_INPUT_BYTES = 200_000
const METHODS = [
  'GET',
  'GET',
  'POST',
  'POST',
  'PUT',
  'HEAD',
  'OPTIONS',
  'CONNECT',
  'get',
  'M-SEARCH',
]
const TARGETS = [
  '/',
  '/a?b=1',
  '*',
  'http://h.test/x',
  'https://[::1]:1?q',
  'h:443',
  '//a',
  '/\xff',
  'a',
]
const VERSIONS = ['HTTP/1.0', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/1']
const STATUSES = ['404', '100', '103', '101', '204', '304', '999', '099', '20']
const HOSTS = ['h.test', 'h.test:80', '[::1]', '', 'a b', 'h\x80']
const NAMES = [
  'X-A',
  'x-a',
  'Cookie',
  'Set-Cookie',
  'Expect',
  'TE',
  'Upgrade',
  'Connection',
  "!#$%'*+.^_`|~",
]
const ODD_NAMES = [
  'Connection',
  'Keep-Alive',
  'Trailer',
  'Host',
  'Content-Length',
  'Transfer-Encoding',
  'X A',
  'X-A ',
  ' X-A',
  '',
]
const VALUES = [
  '',
  'v',
  'close',
  'keep-alive',
  'X-A, close',
  'host, content-length',
  'chunked',
  'identity',
  'gzip, chunked',
  '0',
  '5',
  '05',
  '100-continue',
  'trailers',
  'h2c',
  '\xff\x80',
  'a\tb  c',
  'OK',
]
const BLANKS = [' ', '', '\t', '  \t ']
const EXTENSIONS = ['', '', '', ';', ';a=b', ';a="b;c"', ';\xff']
const ODD_EXTENSIONS = [' ', ' ;a', '\t', ';\0', '\r', ',']
const TOKENS = [
  '\r\n',
  '\r\n\r\n',
  '\r',
  '\n',
  '\n\n',
  '\0',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '0',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  'a',
  '\x7f',
  '\x80',
  '\xff',
  'GET / HTTP/1.1\r\nHost: h.test\r\n\r\n',
  'HTTP/1.1 200 OK\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close\r\n',
  'Host: h.test\r\n',
  'HTTP/1.0',
  'ffffffff',
  'fffffffffffff\r\n',
  '9007199254740993',
]
