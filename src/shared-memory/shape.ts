/** `Shape`: what a region consists of, named arrays of numbers, and how they lie in its memory. */
import { ProxyError, intInRange } from '../error/index.js'

/** How one number is kept: `int32` can be used with `Atomics`, `float64` holds safe integers. */
export type NumberType = 'int32' | 'float64'

/** One array of a region. */
export interface Field<T extends NumberType = NumberType> {
  /** How its numbers are kept. */
  readonly type: T
  /** How many numbers it has, for good: a region never grows. */
  readonly length: number
}

/** The arrays of a region, by name. Threads agree on it exactly or not at all. */
export type Shape = Readonly<Record<string, Field>>

/** The typed arrays that a shape describes, by the same names. */
export type Views<S extends Shape> = {
  readonly [K in keyof S]: S[K]['type'] extends 'float64' ? Float64Array : Int32Array
}

/** A field of `length` 32-bit integers, all 0 at first. */
export function int32(length: number): Field<'int32'> {
  return { type: 'int32', length }
}

/** A field of `length` numbers as JavaScript has them, all 0 at first. */
export function float64(length: number): Field<'float64'> {
  return { type: 'float64', length }
}

/** The shape as a text that two threads can compare, such as `{ flags: int32 × 64 }`. */
export function describeShape(shape: Shape): string {
  const fields = Object.entries(shape).map(
    ([name, { type, length }]) => `${name}: ${type} × ${length}`,
  )
  return `{ ${fields.join(', ')} }`
}

/**
 * Memory for a shape, all zero. The system gives pages only once they are written to, so that a
 * field may be as long as it can ever have to be and costs what is used of it.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` when it would be larger than 1 GiB.
 */
export function allocate(shape: Shape): SharedArrayBuffer {
  let byteLength = CACHE_LINE_BYTES
  for (const [name, field] of Object.entries(shape)) {
    byteLength += fieldBytes(name, field)
  }
  if (byteLength > MAX_REGION_BYTES) {
    const text = `shared memory: at most ${MAX_REGION_BYTES} bytes per region, got ${byteLength}`
    throw new ProxyError('PGR_OPTION_INVALID', text)
  }
  return new SharedArrayBuffer(byteLength)
}

/** The arrays of `shape` over memory that {@link allocate} made for it, in any thread. */
export function viewsOf<S extends Shape>(shape: S, memory: SharedArrayBuffer): Views<S> {
  const views: Record<string, Float64Array | Int32Array> = {}
  let offset = 0
  for (const [name, field] of Object.entries(shape)) {
    views[name] =
      field.type === 'float64'
        ? new Float64Array(memory, offset, field.length)
        : new Int32Array(memory, offset, field.length)
    offset += fieldBytes(name, field)
  }
  return views as Views<S>
}

/** Bytes of one field, so that the one after it is aligned for either type. */
function fieldBytes(name: string, { type, length }: Field): number {
  const count = intInRange(`${name}.length`, length, 1, MAX_REGION_BYTES / 4)
  return type === 'float64' ? count * 8 : Math.ceil(count / 2) * 8
}

/** More would rather be a mistake in a length than a need. */
const MAX_REGION_BYTES: number = 2 ** 30

/**
 * Left unused at the end of every region. Nobody promises where memory begins within a cache line;
 * with a whole line between them no two regions can have one in common, wherever they begin.
 */
const CACHE_LINE_BYTES = 64
