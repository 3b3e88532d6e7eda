/** `HeaderFields`: header or trailer fields as they stood on the wire, for tests to look at. */

/** The fields of a head or of a trailer section: as they came, in order, names as written. */
export class HeaderFields {
  /** Each field as `[name, value]`, in the order of the wire; values without the blanks around them. */
  readonly entries: readonly (readonly [name: string, value: string])[]

  constructor(entries: readonly (readonly [name: string, value: string])[] = []) {
    this.entries = entries
  }

  /** How many fields there are. */
  get size(): number {
    return this.entries.length
  }

  /** The value of the first field called `name`, in whatever case, or `undefined`. */
  get(name: string): string | undefined {
    return this.getAll(name)[0]
  }

  /** The values of all fields called `name`, in whatever case, in order. */
  getAll(name: string): string[] {
    const key = name.toLowerCase()
    return this.entries.filter(([other]) => other.toLowerCase() === key).map(([, value]) => value)
  }

  /** Whether there is a field called `name`, in whatever case. */
  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  [Symbol.iterator](): IterableIterator<readonly [name: string, value: string]> {
    return this.entries[Symbol.iterator]()
  }
}
