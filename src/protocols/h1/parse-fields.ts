/** Field lines (RFC 9112 §5): one pass over the bytes that checks, cuts and classifies. */
import { ProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import { lowerCaseName } from '../../http/index.js'
import type { HeaderMap } from '../../http/index.js'
import { COLON, CR, IS_TOKEN, IS_VALUE, LF, SP, TAB } from './byte-classes.js'
import { isNoted } from './head-facts.js'
import type { HeadFacts } from './head-facts.js'
import { hashByte, knownName } from './known-names.js'

/** What {@link parseFields} reads: bytes, and the same bytes as latin1 text. */
export interface FieldSource {
  readonly buffer: Buffer
  /** The latin1 text of the section. */
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

/**
 * Reads the field lines from `from` up to the empty line, which must be there, into `headers`.
 * @throws {@link ProxyError} with `invalidCode` or `limitCode`.
 */
export function parseFields(
  source: FieldSource,
  from: number,
  headers: HeaderMap,
  facts: HeadFacts,
): void {
  const { buffer, text, textStart } = source
  let at = from
  // Lines that go on as they are leave as one slice of the text, from here to the next that does not.
  let runStart = from
  let lines = ''
  for (let count = 0; buffer[at] !== CR; count++) {
    if (count === source.maxFields) throw new ProxyError(source.limitCode)
    const nameStart = at
    let hash = 0
    for (let byte = buffer[at]!; IS_TOKEN[byte] === 1; byte = buffer[at]!) {
      hash = hashByte(hash, byte)
      at++
    }
    // No name: a fold, or a line that starts with something else; blanks before the colon: §5.1.
    if (at === nameStart || buffer[at] !== COLON) throw invalidField(source)
    const nameEnd = at++
    while (buffer[at] === SP || buffer[at] === TAB) at++
    const valueStart = at
    while (IS_VALUE[buffer[at]!] === 1) at++
    if (buffer[at] !== CR || buffer[at + 1] !== LF) throw invalidField(source)
    let valueEnd = at
    while (valueEnd > valueStart && isBlank(buffer[valueEnd - 1]!)) valueEnd--
    at += 2
    const value = text.slice(valueStart - textStart, valueEnd - textStart)
    const known = knownName(buffer, nameStart, nameEnd, hash)
    const name = known?.name ?? text.slice(nameStart - textStart, nameEnd - textStart)
    const key = known?.key ?? lowerCaseName(name)
    const goesOn = (known?.isNoted ?? isNoted(key)) ? facts.note(key, value) : true
    if (goesOn) headers.appendChecked(name, key, value)
    // One blank before the value and none after it is how every line leaves.
    if (goesOn && valueStart === nameEnd + 2 && valueEnd === at - 2 && buffer[nameEnd + 1] === SP) {
      continue
    }
    lines += text.slice(runStart - textStart, nameStart - textStart)
    if (goesOn) lines += `${name}: ${value}\r\n`
    runStart = at
  }
  // The section ends with CRLF CRLF; a lone CR here would be a CR inside a line.
  if (buffer[at + 1] !== LF) throw invalidField(source)
  headers.keepLines(lines + text.slice(runStart - textStart, at - textStart))
  facts.removeNamed(headers)
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === TAB
}

function invalidField(source: FieldSource): ProxyError {
  return new ProxyError(source.invalidCode, 'a header line is malformed')
}
