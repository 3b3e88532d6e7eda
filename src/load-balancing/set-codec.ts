/** A set of backends as bytes, for the threads that get it from the main one. */
import { ProxyError } from '../error/index.js'
import { Backend } from './backend.js'
import type { BackendExt } from './backend.js'
import { BackendSet } from './backend-set.js'
import type { HealthMemory, HealthPlace } from './health-memory.js'

/** Twice what 65,535 backends with IPv6 addresses take that have no data of the user. */
export const MAX_SET_BYTES: number = 2 ** 23

/** One backend: address, weight, slot, tag, and the user's data if there is some. */
type Entry = [string, number, number, number, BackendExt?]

/**
 * The set as JSON.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` when it takes more than {@link MAX_SET_BYTES}.
 */
export function encodeSet({ backends, health }: BackendSet): Uint8Array {
  const entries = backends.map((backend, index): Entry => {
    const { slot, tag } = health.place(index)
    return [backend.address, backend.weight, slot, tag, ...jsonPart(backend.ext)]
  })
  const bytes = Buffer.from(JSON.stringify(entries))
  if (bytes.length <= MAX_SET_BYTES) return bytes
  const text = `backends: at most ${MAX_SET_BYTES} bytes as JSON when threads share them`
  throw new ProxyError('PGR_OPTION_INVALID', `${text}; got ${bytes.length}`)
}

/** The set that was encoded, over the same memory. */
export function decodeSet(bytes: Uint8Array, memory: HealthMemory): BackendSet {
  const entries = JSON.parse(Buffer.from(bytes).toString()) as Entry[]
  const places = new Map<string, HealthPlace>()
  const backends = entries.map(([address, weight, slot, tag, ext]) => {
    const backend = new Backend(address, { weight, ...(ext && { ext }) })
    places.set(backend.key, { slot, tag })
    return backend
  })
  return new BackendSet(backends, memory, ({ key }) => places.get(key)!)
}

/** Those of the user's data that have a JSON, if any; functions, symbols, bigints and what contains itself have none. */
function jsonPart(ext: BackendExt): [BackendExt?] {
  const entries = Object.entries(ext).filter(([, value]) => hasJson(value))
  return entries.length === 0 ? [] : [Object.fromEntries(entries)]
}

function hasJson(value: unknown): boolean {
  try {
    // The type says that it is always a text.
    const text: unknown = JSON.stringify(value)
    return text !== undefined
  } catch {
    return false
  }
}
