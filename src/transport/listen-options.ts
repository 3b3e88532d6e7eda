/** `ListenOptions`: how a network listens. */
import type { ListenerSocketOptions } from './socket-options.js'

/** How to listen. */
export interface ListenOptions {
  /** Pending connections that the kernel keeps. Default: 511. */
  readonly backlog?: number
  /** Permission bits of a unix socket's file. Default: 0o666, as Pingora's. */
  readonly unixMode?: number
  /** Set when TLS follows on the connections: `startServerTls` works on them. Default: false. */
  readonly forTls?: boolean
  /** Options of the socket and of what it accepts. Default: those of the system. */
  readonly socket?: ListenerSocketOptions
  /**
   * Told when accepting fails, such as for want of descriptors, once until it has worked again. It
   * is tried again each second; until then clients wait in the kernel. Default: nobody is told.
   */
  readonly onAcceptError?: (error: Error) => void
}
