/** A file that lines are appended to, and that can be opened anew after it was moved away. */
import { closeSync, openSync, writeSync } from 'node:fs'

/**
 * Writes at once and waits for it, so that no line is lost when the process ends, also between two
 * files. Writing never throws: what a full disk does not take is lost.
 */
export class AppendFile {
  readonly path: string
  #descriptor: number

  /** @throws the system's error when the file cannot be opened. */
  constructor(path: string) {
    this.path = path
    this.#descriptor = openToAppend(path)
  }

  /** Where the file is open; another number after {@link AppendFile.reopen}. */
  get descriptor(): number {
    return this.#descriptor
  }

  /** Appends `text`, which should be whole lines. */
  write(text: string): void {
    const bytes = Buffer.from(text)
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#descriptor, bytes, done)
    } catch {
      // There is no better place left to say so.
    }
  }

  /**
   * Goes on in a new file of the same name.
   * @throws the system's error when it cannot be opened; then the old one stays.
   */
  reopen(): void {
    const old = this.#descriptor
    this.#descriptor = openToAppend(this.path)
    closeSync(old)
  }
}

/** Other users must not read what a log says of clients, but the group of the file's owner may. */
function openToAppend(path: string): number {
  return openSync(path, 'a', 0o640)
}
