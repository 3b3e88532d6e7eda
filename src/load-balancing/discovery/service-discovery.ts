/** `ServiceDiscovery`: the interface of every source of backends. */
import type { Backend } from '../backend.js'

/** What a discovery found. */
export interface DiscoveryResult {
  /** All backends there are now, in any order. */
  readonly backends: Iterable<Backend>
  /**
   * By {@link Backend.key}: whether traffic is allowed. One that is not named keeps what it had;
   * a new one is enabled. Default: none named.
   */
  readonly enablement?: ReadonlyMap<string, boolean>
}

/** Finds out which backends there are. */
export interface ServiceDiscovery {
  /**
   * Called at every update. A rejection leaves the backends as they are.
   * @param signal aborts when the result is no longer wanted, at the latest after 10 s.
   */
  discover(signal: AbortSignal): Promise<DiscoveryResult>
}
