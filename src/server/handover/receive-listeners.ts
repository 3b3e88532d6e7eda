/** The new process's side of an upgrade: waits for the old one's listeners, and says when it serves. */
import { chmodSync, chownSync, lstatSync, rmSync } from 'node:fs'
import { ProxyError, describeThrown } from '../../error/index.js'
import type { PassedDescriptors, Sockets } from '../../os/internal.js'
import { clearUnixPath } from '../../transport/internal.js'
import type { InheritedSocket } from '../../transport/index.js'
import { GREETING, READY, decodeBatch, decodeFromPingora, startsBatch } from './handover-message.js'
import { poll } from './poll.js'
import { UpgradeChannel } from './upgrade-channel.js'
import type { ChannelParts } from './upgrade-channel.js'

/** How the listeners are awaited. */
export interface ReceiveListenersOptions extends ChannelParts {
  /** The upgrade socket; made here, for the same users as the channel allows. */
  readonly path: string
  /** User and group that the socket belongs to, when not ours. */
  readonly owner: { readonly uid: number; readonly gid: number } | null
  /** How long the old process may take to connect. */
  readonly maxWaitMs: number
  /** Called when the socket is there: from here on the old process may be told to hand over. */
  readonly onBound: () => void
  /** Told why a peer was refused; the waiting goes on. */
  readonly onRefused: (reason: string) => void
}

/** What the old process has sent. */
export interface ReceivedListeners {
  readonly sockets: readonly InheritedSocket[]
  /** The state of the session tickets' keys; empty when there are none. */
  readonly ticketKeys: string
  /** Tells the old process that everything is served; later calls do nothing. */
  acknowledge(): Promise<void>
  /** Tells it, by closing, that it must go on serving. */
  abandon(): void
}

/**
 * Binds the upgrade socket and waits for an old process of ours or of Pingora's.
 * @throws {@link ProxyError} (rejects) `PGR_HANDOVER_FAILED`; nothing stays open then.
 */
export async function receiveListeners(
  options: ReceiveListenersOptions,
): Promise<ReceivedListeners> {
  const { clock, sockets, path, maxWaitMs } = options
  const fd = await bindUpgradeSocket(options)
  try {
    options.onBound()
    const endMs = clock.nowMs() + maxWaitMs
    for (;;) {
      const accepted = await poll(clock, endMs - clock.nowMs(), () => nextConnection(sockets, fd))
      if (accepted === undefined) break
      const received = await receiveFrom(options, accepted)
      if (received !== null) return received
    }
    const reason = `no old process came to ${path} within ${maxWaitMs / 1_000} s; send it SIGQUIT`
    throw new ProxyError('PGR_HANDOVER_FAILED', reason)
  } finally {
    sockets.close(fd)
    rmSync(path, { force: true })
  }
}

function nextConnection(sockets: Sockets, fd: number): number | undefined {
  const accepted = sockets.accept(fd)
  return accepted < 0 ? undefined : accepted
}

/** Only we, root and the configured user may connect, from before anybody can. */
async function bindUpgradeSocket(options: ReceiveListenersOptions): Promise<number> {
  const { sockets, path, owner } = options
  const name = { kind: 'unix', path } as const
  refuseForeignFile(options)
  try {
    await clearUnixPath(path)
  } catch (cause) {
    throw new ProxyError('PGR_HANDOVER_FAILED', `upgrade_sock: ${describeThrown(cause)}`, { cause })
  }
  const fd = sockets.open(name)
  try {
    sockets.setNonBlocking(fd)
    const bound = sockets.bind(fd, name)
    if (bound < 0) throw new Error(`errno ${-bound}`)
    chmodSync(path, 0o600)
    if (owner !== null) chownSync(path, owner.uid, owner.gid)
    const listening = sockets.listen(fd, BACKLOG)
    if (listening < 0) throw new Error(`errno ${-listening}`)
    return fd
  } catch (cause) {
    sockets.close(fd)
    const reason = `upgrade_sock ${path}: ${describeThrown(cause)}`
    throw new ProxyError('PGR_HANDOVER_FAILED', reason, { cause })
  }
}

function refuseForeignFile({ path, allowedUsers }: ReceiveListenersOptions): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined || allowedUsers.has(stat.uid)) return
  throw new ProxyError('PGR_HANDOVER_FAILED', `upgrade_sock ${path}: belongs to user ${stat.uid}`)
}

/** `null` when the peer was refused, or left without a word as who only looks whether we are there. */
async function receiveFrom(
  options: ReceiveListenersOptions,
  fd: number,
): Promise<ReceivedListeners | null> {
  const passed: number[] = []
  try {
    const channel = new UpgradeChannel(options, fd)
    try {
      await channel.send(Buffer.from(GREETING), [], SEND_MS)
      const first = await channel.receive(SEND_MS)
      if (first) return await readAll(channel, first, passed)
    } catch (thrown) {
      channel.close()
      throw thrown
    }
    channel.close()
  } catch (thrown) {
    for (const left of passed) options.sockets.close(left)
    options.onRefused(describeThrown(thrown))
  }
  return null
}

/** @param passed gets every descriptor that has come, also when the rest is wrong. */
async function readAll(
  channel: UpgradeChannel,
  first: PassedDescriptors,
  passed: number[],
): Promise<ReceivedListeners> {
  const text = first.bytes.toString()
  passed.push(...first.fds)
  const isOurs = startsBatch(text)
  const { names, supervised, ticketKeys } = isOurs
    ? await readBatches(channel, text, passed)
    : { names: decodeFromPingora(text), supervised: new Set<string>(), ticketKeys: '' }
  if (names.length !== passed.length) {
    const reason = `${names.length} names came with ${passed.length} descriptors`
    throw new ProxyError('PGR_HANDOVER_FAILED', reason)
  }
  const sockets = names.map((name, index) => ({
    name,
    fd: passed[index]!,
    isSupervised: supervised.has(name),
  }))
  return { sockets, ticketKeys, ...answers(channel, isOurs) }
}

interface BatchedListeners {
  readonly names: string[]
  readonly supervised: ReadonlySet<string>
  readonly ticketKeys: string
}

/** The names of all batches; their descriptors go to `passed`, in the same order. */
async function readBatches(
  channel: UpgradeChannel,
  begun: string,
  passed: number[],
): Promise<BatchedListeners> {
  const names: string[] = []
  const supervised = new Set<string>()
  let text = begun
  for (;;) {
    const lineEnd = text.indexOf('\n')
    if (lineEnd >= 0) {
      const batch = decodeBatch(text.slice(0, lineEnd))
      text = text.slice(lineEnd + 1)
      names.push(...batch.names)
      for (const name of batch.supervised) supervised.add(name)
      if (!batch.more) return { names, supervised, ticketKeys: batch.ticketKeys ?? '' }
    } else {
      const next = text.length < MAX_LINE_BYTES ? await channel.receive(SEND_MS) : null
      if (!next) throw new ProxyError('PGR_HANDOVER_FAILED', 'a message without an end')
      text += next.bytes.toString()
      passed.push(...next.fds)
    }
  }
}

function answers(
  channel: UpgradeChannel,
  isAcknowledged: boolean,
): Pick<ReceivedListeners, 'acknowledge' | 'abandon'> {
  return {
    acknowledge: async () => {
      if (isAcknowledged) await channel.send(Buffer.from(READY), [], SEND_MS)
      channel.close()
    },
    abandon: () => {
      channel.close()
    },
  }
}

const BACKLOG = 8
const SEND_MS = 5_000
const MAX_LINE_BYTES = 1_000_000
