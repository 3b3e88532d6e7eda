/** What is said on the upgrade socket: Pingora's one message, and ours for more than that holds. */
import { ProxyError } from '../../error/index.js'

/** Sent by a new process of ours to whoever connects. One of Pingora's says nothing. */
export const GREETING = 'pingora-ts 1\n'
/** Sent by a new process of ours when it serves: the old one may stop. */
export const READY = 'ready\n'

/** Listeners by name, with their descriptors beside them in the same order. */
export interface HandoverBatch {
  readonly names: readonly string[]
  /** Whether another batch follows. */
  readonly more: boolean
}

/**
 * Pingora's message: the addresses with a blank between them, unix sockets by their path alone.
 * @throws {@link ProxyError} `PGR_HANDOVER_FAILED` where they do not fit into what it reads.
 */
export function encodeForPingora(names: readonly string[]): Buffer {
  const text = names.map((name) => name.replace(/^unix:/, '')).join(' ')
  const hasBlank = names.some((name) => name.includes(' '))
  const bytes = Buffer.from(text)
  if (names.length > MAX_PINGORA_LISTENERS || bytes.length > MAX_PINGORA_BYTES || hasBlank) {
    const limits = `${MAX_PINGORA_LISTENERS} listeners in ${MAX_PINGORA_BYTES} bytes`
    const reason = `the new process speaks Pingora's protocol, which passes no more than ${limits}`
    throw new ProxyError('PGR_HANDOVER_FAILED', reason)
  }
  return bytes
}

/** The names in Pingora's message, as ours. */
export function decodeFromPingora(text: string): string[] {
  const addresses = text.split(' ').filter((address) => address !== '')
  return addresses.map((address) => (address.startsWith('/') ? `unix:${address}` : address))
}

/** One line of ours; its descriptors go with its first byte. */
export function encodeBatch(batch: HandoverBatch): Buffer {
  return Buffer.from(`${JSON.stringify(batch)}\n`)
}

/** Cuts `names` into batches that one message can carry. */
export function batchesOf(names: readonly string[]): HandoverBatch[] {
  const batches: HandoverBatch[] = []
  for (let at = 0; at < names.length; at += MAX_BATCH_LISTENERS) {
    const end = at + MAX_BATCH_LISTENERS
    batches.push({ names: names.slice(at, end), more: end < names.length })
  }
  return batches
}

/** Whether bytes from an old process are our lines; else they are Pingora's message. */
export function startsBatch(text: string): boolean {
  return text.startsWith('{')
}

/** @throws {@link ProxyError} `PGR_HANDOVER_FAILED` for anything but a batch. */
export function decodeBatch(line: string): HandoverBatch {
  try {
    const value = JSON.parse(line) as Partial<HandoverBatch>
    const { names, more } = value
    const areNames = Array.isArray(names) && names.every((name) => typeof name === 'string')
    if (areNames && typeof more === 'boolean') return { names, more }
  } catch {
    // Answered below, as every other text that is no batch.
  }
  throw new ProxyError('PGR_HANDOVER_FAILED', 'the old process sent something that is no listener')
}

/** What Pingora's receiver has room for. */
const MAX_PINGORA_LISTENERS = 32
const MAX_PINGORA_BYTES = 2_048
/** Below what the kernel passes with one message (253). */
const MAX_BATCH_LISTENERS = 200
