/** Socket activation: takes the listening sockets that systemd has opened for this process. */
import type { Logger } from '../../observability/index.js'
import type { Sockets } from '../../os/internal.js'
import { formatAddress } from '../../transport/index.js'
import type { InheritedSocket, ListeningSockets } from '../../transport/index.js'

/** What the sockets are taken from, and given to. */
export interface ActivationOptions {
  /** The environment of the process; what speaks of sockets is removed from it. */
  readonly variables: NodeJS.ProcessEnv
  /** This process. */
  readonly pid: number
  /** `null` where there are none: then nothing is taken. */
  readonly sockets: Sockets | null
  /** Gives them to who listens at their addresses. */
  readonly listening: ListeningSockets | null
  readonly logger: Logger
}

/**
 * Takes the sockets of `LISTEN_FDS`, so that listeners at the same addresses find them.
 * @returns whether there were any.
 */
export function takeActivatedSockets(options: ActivationOptions): boolean {
  const { variables, pid, sockets, listening, logger } = options
  const {
    LISTEN_PID: forPid,
    LISTEN_FDS: countText = '',
    LISTEN_FDNAMES: namesText = '',
  } = variables
  // A program that is started by this one must not take them for its own.
  for (const name of VARIABLES) Reflect.deleteProperty(variables, name)
  const count = forPid === String(pid) && /^\d{1,4}$/.test(countText) ? Number(countText) : 0
  if (count === 0) return false
  if (sockets === null || listening === null) {
    logger.warn('the sockets of systemd are not taken: that needs Linux and the package koffi')
    return false
  }
  const labels = namesText.split(':')
  const taken = Array.from({ length: count }, (_, index) =>
    takeSocket(sockets, FIRST_FD + index, labels[index] ?? '', logger),
  )
  listening.inherit(taken.filter((socket) => socket !== null))
  return true
}

function takeSocket(
  sockets: Sockets,
  fd: number,
  label: string,
  logger: Logger,
): InheritedSocket | null {
  const text = label === '' ? `descriptor ${fd}` : `descriptor ${fd} (${label})`
  sockets.closeOnExec(fd)
  const name = sockets.isListening(fd) ? sockets.boundName(fd) : null
  if (name === null) {
    // It stays open: should the variables be wrong, it is something that this process needs.
    logger.warn(`systemd: ${text} is no socket that listens`)
    return null
  }
  const address = formatAddress(name).replace('\0', '@')
  logger.info(`systemd: ${text} listens on ${address}`)
  return { fd, name: address, isSupervised: true }
}

/** The first descriptor after those of input and output. */
const FIRST_FD = 3
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']
