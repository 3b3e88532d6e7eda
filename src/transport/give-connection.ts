/** `giveConnection`: a new connection goes to its owner. */
import type { Connection } from './connection.js'

/**
 * Gives a connection that was accepted to `onConnection`. When that throws, nobody serves the
 * connection: it is destroyed, and `onUncaught` is told.
 */
export function giveConnection<C extends Connection>(
  connection: C,
  onConnection: (connection: C) => void,
  onUncaught: (thrown: unknown) => void,
): void {
  try {
    onConnection(connection)
  } catch (thrown) {
    connection.destroy()
    onUncaught(thrown)
  }
}
