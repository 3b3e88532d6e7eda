/** The old process's side of an upgrade: hands its listeners over, and learns that they are served. */
import { constants } from 'node:os'
import { ProxyError } from '../../error/index.js'
import type { ListeningSockets, TicketKeys } from '../../transport/index.js'
import { GREETING, READY, batchesOf, encodeBatch, encodeForPingora } from './handover-message.js'
import type { HandoverBatch } from './handover-message.js'
import { poll } from './poll.js'
import { UpgradeChannel } from './upgrade-channel.js'
import type { ChannelParts } from './upgrade-channel.js'

/** How the listeners are sent. */
export interface SendListenersOptions extends ChannelParts {
  /** The upgrade socket. */
  readonly path: string
  /** Tries to connect after the first, a second apart. */
  readonly maxRetries: number
  readonly listening: ListeningSockets
  /** Go with the listeners; a process of Pingora's does not get them. */
  readonly ticketKeys: TicketKeys
  /** Called when the new process has them all, and is waited for. Default: nothing. */
  readonly onSent?: () => void
}

/**
 * Sends all listening sockets to the new process at the upgrade socket. Resolves when the new
 * process serves, which one of ours says and one of Pingora's is given five seconds for.
 * @throws {@link ProxyError} (rejects) `PGR_HANDOVER_FAILED`: the listeners are ours as before.
 */
export async function sendListeners(options: SendListenersOptions): Promise<void> {
  const channel = await connect(options)
  const { open } = options.listening
  const names = open.map(({ name }) => name)
  const fds = open.map(({ fd }) => fd)
  try {
    if (await greets(channel)) {
      const supervised = open.filter(({ isSupervised }) => isSupervised)
      const batches = batchesOf(names, new Set(supervised.map(({ name }) => name)))
      await sendBatches(channel, batches, fds, options.ticketKeys.state)
      options.onSent?.()
      await waitUntilReady(channel)
      return
    }
    await channel.send(encodeForPingora(names), fds, SEND_MS)
    options.onSent?.()
    await poll(options.clock, PINGORA_CLOSE_MS, () => undefined)
  } finally {
    channel.close()
  }
}

/** Connects once the new process listens there. */
async function connect(options: SendListenersOptions): Promise<UpgradeChannel> {
  const { clock, sockets, path, maxRetries } = options
  const name = { kind: 'unix', path } as const
  let status = 0
  const look = (): number | undefined => {
    const fd = sockets.open(name)
    sockets.setNonBlocking(fd)
    status = sockets.connect(fd, name)
    if (status >= 0) return fd
    sockets.close(fd)
    if (WORTH_A_RETRY.includes(status)) return undefined
    throw new ProxyError('PGR_HANDOVER_FAILED', `${path}: errno ${-status}`)
  }
  const fd = await poll(clock, maxRetries * 1_000, look, 1_000)
  if (fd !== undefined) return new UpgradeChannel(options, fd)
  throw new ProxyError('PGR_HANDOVER_FAILED', `no new process waits at ${path}; start it with -u`)
}

async function greets(channel: UpgradeChannel): Promise<boolean> {
  const greeting = await channel.receive(GREETING_MS)
  if (greeting === undefined) return false
  if (greeting?.bytes.toString() === GREETING) return true
  throw new ProxyError('PGR_HANDOVER_FAILED', 'what waits at the upgrade socket is no new process')
}

async function sendBatches(
  channel: UpgradeChannel,
  batches: readonly HandoverBatch[],
  fds: readonly number[],
  ticketKeys: string,
): Promise<void> {
  let at = 0
  for (const batch of batches) {
    const line = encodeBatch(batch.more ? batch : { ...batch, ticketKeys })
    await channel.send(line, fds.slice(at, at + batch.names.length), SEND_MS)
    at += batch.names.length
  }
}

async function waitUntilReady(channel: UpgradeChannel): Promise<void> {
  const answer = await channel.receive(READY_MS)
  if (answer?.bytes.toString() === READY) return
  const reason =
    answer === undefined
      ? `the new process was not ready within ${READY_MS / 1_000} s`
      : 'the new process ended before it was ready'
  throw new ProxyError('PGR_HANDOVER_FAILED', reason)
}

/** A new process of ours greets at once, unless it has no time for it. */
const GREETING_MS = 2_000
const SEND_MS = 5_000
/** Long enough for a slow start; until then both processes accept. */
const READY_MS = 60_000
/** What Pingora itself waits after sending, in which the new process starts to accept. */
const PINGORA_CLOSE_MS = 5_000
const { ENOENT, ECONNREFUSED, EACCES, EAGAIN } = constants.errno
/** The new process may not be there yet. */
const WORTH_A_RETRY: readonly number[] = [-ENOENT, -ECONNREFUSED, -EACCES, -EAGAIN]
