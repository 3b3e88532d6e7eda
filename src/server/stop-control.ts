/** Collects requests to stop, from signals and from code alike. */

/**
 * `graceful` lets work in flight end; `immediate` does not. `upgrade` is graceful, and idle clients keep
 * their connections until their next answer: the next process serves what comes after it.
 */
export type StopKind = 'graceful' | 'upgrade' | 'immediate'

/** Turns the first request, and the one that makes it urgent, into promises. */
export class StopControl {
  /** Resolves at the first request. */
  readonly asked: Promise<void>
  /** Resolves at an immediate request, or at a second one of any kind: who asks twice is in a hurry. */
  readonly urgent: Promise<void>
  #kind: StopKind | null = null
  #resolveAsked: () => void = () => undefined
  #resolveUrgent: () => void = () => undefined

  constructor() {
    this.asked = new Promise((resolve) => {
      this.#resolveAsked = resolve
    })
    this.urgent = new Promise((resolve) => {
      this.#resolveUrgent = resolve
    })
  }

  /** What was asked for; `null` while nothing was. */
  get kind(): StopKind | null {
    return this.#kind
  }

  /** Asks to stop. */
  request(kind: StopKind): void {
    this.#kind = this.#kind === null ? kind : 'immediate'
    this.#resolveAsked()
    if (this.#kind === 'immediate') this.#resolveUrgent()
  }
}
