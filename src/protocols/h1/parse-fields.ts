/** Field lines (RFC 9112 §5): one pass over the bytes that checks, cuts and classifies. */
import { ProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import { HeaderMap } from '../../http/index.js'
import { IS_TOKEN } from './byte-classes.js'
import type { HeadFacts } from './head-facts.js'
import { notedName } from './noted-names.js'

/** What {@link parseFields} reads: bytes, and the same bytes as latin1 text. */
export interface FieldSource {
  readonly buffer: Buffer
  /** The latin1 text of the section, and of what follows it as far as it is there. */
  readonly text: string
  /** Where `text` starts in `buffer`. */
  readonly textStart: number
  /** Field lines at the most. */
  readonly maxFields: number
  /** Too many fields. */
  readonly limitCode: ErrorCode
  /** A line that is not a field. */
  readonly invalidCode: ErrorCode
}

/** The fields of a section, and where the section ends. */
export interface ParsedFields {
  readonly headers: HeaderMap
  /** After the empty line. */
  readonly end: number
}

/**
 * Reads the field lines from `from` up to the empty line. Returns `null` when the text ends before
 * that: what lies behind it in the buffer is not looked at.
 * @throws {@link ProxyError} with `invalidCode` or `limitCode`.
 */
export function parseFields(
  source: FieldSource,
  from: number,
  facts: HeadFacts,
): ParsedFields | null {
  const { buffer, text, textStart } = source
  const to = textStart + text.length
  let at = from
  // Lines that go on as they are leave as one slice of the text, from here to the next that does not.
  let runStart = from
  let lines = ''
  for (let count = 0; at < to && buffer[at] !== CR; count++) {
    if (count === source.maxFields) throw new ProxyError(source.limitCode)
    const nameStart = at
    while (IS_TOKEN[buffer[at]!] === 1) at++
    const nameEnd = at
    if (buffer[at] === COLON) at++
    while (buffer[at] === SP || buffer[at] === TAB) at++
    const valueStart = at
    // As `IS_VALUE` says, without the look-up: most bytes of all heads come by here.
    for (let byte = buffer[at]!; (byte >= SP && byte !== DEL) || byte === TAB; byte = buffer[at]!) {
      at++
    }
    let valueEnd = at
    at += 2
    if (at > to) return null
    // No name: a fold, or a line that starts with something else; blanks before the colon: §5.1.
    const isNamed = nameEnd > nameStart && buffer[nameEnd] === COLON
    if (!isNamed || buffer[at - 2] !== CR || buffer[at - 1] !== LF) throw invalidField(source)
    while (valueEnd > valueStart && isBlank(buffer[valueEnd - 1]!)) valueEnd--

    const noted = notedName(buffer, nameStart, nameEnd)
    const goesOn =
      noted === undefined ||
      facts.note(noted, text.slice(valueStart - textStart, valueEnd - textStart))
    // One blank before the value and none after it is how every line leaves.
    if (goesOn && valueStart === nameEnd + 2 && valueEnd === at - 2 && buffer[nameEnd + 1] === SP) {
      continue
    }
    lines += text.slice(runStart - textStart, nameStart - textStart)
    if (goesOn) {
      const name = text.slice(nameStart - textStart, nameEnd - textStart)
      lines += `${name}: ${text.slice(valueStart - textStart, valueEnd - textStart)}\r\n`
    }
    runStart = at
  }
  const end = at + 2
  if (end > to) return null
  // The section ends with CRLF CRLF; a lone CR here would be a CR inside a line.
  if (buffer[at + 1] !== LF) throw invalidField(source)
  lines += text.slice(runStart - textStart, at - textStart)
  const headers = HeaderMap.fromLines(lines, facts.known)
  facts.removeNamed(headers)
  return { headers, end }
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === TAB
}

function invalidField(source: FieldSource): ProxyError {
  return new ProxyError(source.invalidCode, 'a header line is malformed')
}

// Here and not imported: the compiler takes constants of the same file as numbers, which is a fifth of
// the time of these loops, but loads imported ones again for every byte.
const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SP = 0x20
const COLON = 0x3a
const DEL = 0x7f
