/** `FileWatch`: tells when files have been replaced or rewritten. */
import { statSync } from 'node:fs'
import type { Clock, Timer } from '../time/index.js'

/**
 * Looks at each file every 400 ms, which sees what any program does to it on any file system, and
 * symbolic links that lead elsewhere. A change is told once all files have been left alone from one
 * look to the next: who writes two files, or one in parts, is not caught in between.
 */
export class FileWatch {
  readonly #clock: Clock
  readonly #paths: readonly string[]
  readonly #onChange: () => void
  /** What was told last, and what was seen last. */
  #told: string
  #seen: string
  #timer: Timer | null = null

  /** @param onChange must not throw. */
  constructor(clock: Clock, paths: readonly string[], onChange: () => void) {
    this.#clock = clock
    this.#paths = paths
    this.#onChange = onChange
    this.#told = this.#look()
    this.#seen = this.#told
  }

  /** Begins to look. Changes since the construction count. */
  start(): void {
    this.#timer = this.#clock.schedule(LOOK_EVERY_MS, () => {
      this.start()
      this.#compare()
    })
  }

  /** Ends the watch. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #compare(): void {
    const seen = this.#look()
    const isSteady = seen === this.#seen
    this.#seen = seen
    if (!isSteady || seen === this.#told) return
    this.#told = seen
    this.#onChange()
  }

  #look(): string {
    return this.#paths.map(fingerprint).join('\n')
  }
}

function fingerprint(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat ? `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}` : 'missing'
}

const LOOK_EVERY_MS = 400
