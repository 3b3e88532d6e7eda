/** Field lines (RFC 9112 §5): one pass over the bytes that checks, cuts and classifies. */
import { ProxyError } from '../../error/index.js'
import { afterToken } from './byte-classes.js'
import type { HeadFacts } from './head-facts.js'
import { notedName } from './noted-names.js'

/**
 * Reads the field lines from `from` up to the empty line, and completes `facts`. Returns `false` when
 * the text ends before that: what lies behind it in the buffer is not looked at.
 * @param maxFields field lines at the most.
 * @throws {@link ProxyError} with the codes of `facts`.
 */
export function parseFields(facts: HeadFacts, from: number, maxFields: number): boolean {
  const { buffer } = facts
  const to = facts.textStart + facts.text.length
  let at = from
  // Lines that go on as they are leave as one slice of the text, from here to the next that does not.
  let runStart = from
  let lines = ''
  for (let count = 0; at < to && buffer[at] !== CR; count++) {
    if (count === maxFields) throw new ProxyError(facts.codes.limitCode)
    const nameStart = at
    const nameEnd = afterToken(buffer, nameStart)
    at = nameEnd
    if (buffer[at] === COLON) at++
    while (buffer[at] === SP || buffer[at] === TAB) at++
    const valueStart = at
    // As `IS_VALUE` says, without the look-up: most bytes of all heads come by here.
    for (let byte = buffer[at]!; (byte >= SP && byte !== DEL) || byte === TAB; byte = buffer[at]!) {
      at++
    }
    let valueEnd = at
    at += 2
    if (at > to) return false
    // No name: a fold, or a line that starts with something else; blanks before the colon: §5.1.
    const isNamed = nameEnd > nameStart && buffer[nameEnd] === COLON
    if (!isNamed || buffer[at - 2] !== CR || buffer[at - 1] !== LF) throw invalidField(facts)
    while (valueEnd > valueStart && isBlank(buffer[valueEnd - 1]!)) valueEnd--

    const noted = notedName(buffer, nameStart, nameEnd)
    const goesOn =
      noted === undefined ||
      facts.note(noted, valueStart, valueEnd, lines.length + nameStart - runStart)
    // One blank before the value and none after it is how every line leaves.
    if (goesOn && valueStart === nameEnd + 2 && valueEnd === at - 2 && buffer[nameEnd + 1] === SP) {
      continue
    }
    lines += facts.slice(runStart, nameStart)
    if (goesOn) {
      lines += `${facts.slice(nameStart, nameEnd)}: ${facts.slice(valueStart, valueEnd)}\r\n`
    }
    runStart = at
  }
  const end = at + 2
  if (end > to) return false
  // The section ends with CRLF CRLF; a lone CR here would be a CR inside a line.
  if (buffer[at + 1] !== LF) throw invalidField(facts)
  facts.end = end
  facts.lines = lines + facts.slice(runStart, at)
  return true
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === TAB
}

function invalidField(facts: HeadFacts): ProxyError {
  return new ProxyError(facts.codes.invalidCode, 'a header line is malformed')
}

// Here and not imported: the compiler takes constants of the same file as numbers, which is a fifth of
// the time of these loops, but loads imported ones again for every byte.
const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SP = 0x20
const COLON = 0x3a
const DEL = 0x7f
