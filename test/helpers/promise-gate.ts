/** A gate that asynchronous code of a test waits at until the test opens it. */

/** Closed at first; once open it stays open. */
export class PromiseGate {
  readonly #opened: Promise<void>
  readonly #arrived: Promise<void>
  #open: () => void = () => {}
  #arrive: () => void = () => {}

  constructor() {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve
    })
    this.#arrived = new Promise((resolve) => {
      this.#arrive = resolve
    })
  }

  /** Resolves when the gate is open. */
  async pass(): Promise<undefined> {
    this.#arrive()
    await this.#opened
    return undefined
  }

  /** Resolves when someone waits at the gate. */
  reached(): Promise<void> {
    return this.#arrived
  }

  open(): void {
    this.#open()
  }
}
