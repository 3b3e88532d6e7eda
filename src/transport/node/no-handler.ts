/** The handler of a connection that nobody owns. */
import type { ConnectionHandler } from '../connection.js'

/** Stands in until an owner sets itself, and after the end. */
export const NO_HANDLER: ConnectionHandler = Object.freeze({
  onData: ignore,
  onEnd: ignore,
  onDrain: ignore,
  onClose: ignore,
})

function ignore(): void {
  // Nobody is there to be told.
}
