/** `ServerConnection`: what a service needs to know of a client's connection, whatever is spoken on it. */

/** One client's connection from its start to its end. */
export interface ServerConnection {
  /** Takes the connection over and reads. Once. @param prefix bytes that were read already. Default: none. */
  start(prefix?: Buffer | null): void
  /**
   * Ends the connection when what is in progress is answered; when nothing is, at once, or with
   * `keepsIdle` when the next request is answered.
   */
  drain(keepsIdle?: boolean): void
  /** Closes now, whatever is in progress. */
  destroy(): void
}
