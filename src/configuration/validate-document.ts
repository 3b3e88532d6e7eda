/** Checks a document against a schema and turns what zod finds into problems with places. */
import type { z } from 'zod'
import type { ConfigDocument } from './config-document.js'
import { describeValue, formatPath } from './config-problem.js'
import type { ConfigProblem } from './config-problem.js'
import { zod } from './lazy-packages.js'
import { nearestName } from './nearest-name.js'

/**
 * Reads the document's top-level mapping by `schema` and adds what is wrong to `problems`.
 * @returns the typed value; `undefined` when something was wrong.
 */
export function validateDocument<T>(
  document: ConfigDocument,
  schema: z.ZodType<T>,
  problems: ConfigProblem[],
): T | undefined {
  const result = schema.safeParse(document.value, { error: describeIssue })
  if (result.success) return result.data
  for (const issue of result.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const text = unknownKeyText(key, issue.message.split(' '))
        problems.push(document.problem([...issue.path, key], text, 'key'))
      }
    } else {
      problems.push(document.problem(issue.path, issue.message))
    }
  }
  return undefined
}

/** What to say of plain data that has no document, such as options given in code. */
export function validateValue<T>(
  value: unknown,
  schema: z.ZodType<T>,
  problems: string[],
): T | undefined {
  const result = schema.safeParse(value, { error: describeIssue })
  if (result.success) return result.data
  for (const issue of result.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      const known = issue.message.split(' ')
      problems.push(
        ...issue.keys.map(
          (key) => `${formatPath([...issue.path, key])}: ${unknownKeyText(key, known)}`,
        ),
      )
    } else {
      problems.push(`${formatPath(issue.path)}: ${issue.message}`)
    }
  }
  return undefined
}

/** A value that may be a list or something else; its problems are those of the one that it is. */
export function listOrOtherField<L, O>(list: z.ZodType<L>, other: z.ZodType<O>): z.ZodType<L | O> {
  const z = zod()
  return z.unknown().transform((value, context): L | O => {
    // Not a union: the message of that would say nothing about the member that was meant.
    const schema: z.ZodType<L | O> = Array.isArray(value) ? list : other
    const result = schema.safeParse(value, { error: describeIssue })
    if (result.success) return result.data
    // The type of an issue that is done differs from that of one to be made in `input` alone.
    for (const issue of result.error.issues)
      context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue)
    return z.NEVER
  })
}

/** Names the nearest known key; without a near one, all of them. */
export function unknownKeyText(key: string, known: readonly string[]): string {
  const nearest = nearestName(key, known)
  if (nearest !== undefined) return `unknown key; did you mean ${nearest}?`
  return `unknown key; known are ${known.join(', ')}`
}

function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'unrecognized_keys') return knownKeys(issue.inst)
  if (issue.code !== 'invalid_type') return undefined
  const expected = EXPECTED.get(issue.expected) ?? issue.expected
  if (issue.input === undefined) return `missing; expected ${expected}`
  return `got ${describeValue(issue.input)}; expected ${expected}`
}

/**
 * The keys of the mapping's schema, joined by spaces. An issue does not say which keys would have
 * been right, and its message is the only thing that it carries out of zod.
 */
function knownKeys(schema: unknown): string {
  return schema instanceof zod().ZodObject ? Object.keys(schema.shape).join(' ') : ''
}

const EXPECTED: ReadonlyMap<string, string> = new Map([
  ['object', 'a mapping'],
  ['record', 'a mapping'],
  ['array', 'a list'],
  ['string', 'text'],
])
