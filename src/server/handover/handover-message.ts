/** What is said on the upgrade socket: Pingora's one message, and ours for more than that holds. */
import { ProxyError } from '../../error/index.js'

/** Sent by a new process of ours to whoever connects. One of Pingora's says nothing. */
export const GREETING = 'pingora-ts 1\n'
/** Sent by a new process of ours when it serves: the old one may stop. */
export const READY = 'ready\n'

/** Listeners by name, with their descriptors beside them in the same order. */
export interface HandoverBatch {
  readonly names: readonly string[]
  /** Those of them that a supervisor, such as systemd, keeps. */
  readonly supervised: readonly string[]
  /** The state of the session tickets' keys; only with the last batch. Default: there are none. */
  readonly ticketKeys?: string
  /** Whether another batch follows. */
  readonly more: boolean
}

/**
 * Pingora's message: the addresses with a blank between them, unix sockets by their path alone.
 * @throws {@link ProxyError} `PGR_HANDOVER_FAILED` where they do not fit into what it reads.
 */
export function encodeForPingora(names: readonly string[]): Buffer {
  // It would keep one of them, and never accept what waits in the others.
  const shared = names.find((name, index) => names.indexOf(name) !== index)
  if (shared !== undefined) {
    const reason = `the new process speaks Pingora's protocol, which passes one socket for an address, and ${shared} has several (accept: reuseport)`
    throw new ProxyError('PGR_HANDOVER_FAILED', reason)
  }
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
export function batchesOf(
  names: readonly string[],
  supervised: ReadonlySet<string> = new Set(),
): HandoverBatch[] {
  const batches: HandoverBatch[] = []
  for (let at = 0; at < names.length; at += MAX_BATCH_LISTENERS) {
    const end = at + MAX_BATCH_LISTENERS
    const part = names.slice(at, end)
    const kept = part.filter((name) => supervised.has(name))
    batches.push({ names: part, supervised: kept, more: end < names.length })
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
    // An old process of a version without it has no supervisor, or no keys.
    const { names, supervised = [], more, ticketKeys = '' } = value
    const isBatch = areTexts(names) && areTexts(supervised) && typeof more === 'boolean'
    if (isBatch && typeof ticketKeys === 'string') return { names, supervised, more, ticketKeys }
  } catch {
    // Answered below, as every other text that is no batch.
  }
  throw new ProxyError('PGR_HANDOVER_FAILED', 'the old process sent something that is no listener')
}

function areTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

/** What Pingora's receiver has room for. */
const MAX_PINGORA_LISTENERS = 32
const MAX_PINGORA_BYTES = 2_048
/** Below what the kernel passes with one message (253). */
const MAX_BATCH_LISTENERS = 200
