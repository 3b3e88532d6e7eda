/** `Enlistments`: objects whose memory is their own until threads are to share it. */
import { ProxyError } from '../error/index.js'

/** What identifies an object in every thread. */
export interface Enlistment {
  /** Its kind and its name, or its kind alone. */
  readonly group: string
  /** How many of the group were made before it. */
  readonly order: number
  /** What its regions are called: different for all objects of one kind. */
  readonly name: string
}

/** What a worker has to know of the objects of the main thread. */
export interface EnlistmentsDescription {
  /** How many were made of each group. */
  readonly made: ReadonlyMap<string, number>
  /** Those that the threads share: all but the ones that had become garbage. */
  readonly shared: ReadonlySet<string>
}

/** Counts objects in the order of their construction, and keeps none of them alive. */
export class Enlistments<T extends object> {
  readonly #made = new Map<string, number>()
  readonly #living = new Map<string, { enlistment: Enlistment; object: WeakRef<T> }>()
  readonly #gone = new FinalizationRegistry<string>((id) => {
    this.#living.delete(id)
  })
  #count = 0

  /**
   * Counts one object.
   * @returns `undefined` when there were {@link MAX_ENLISTED} before it: then it is for its thread
   * alone. So what is remembered of objects that are gone stays bounded.
   */
  count(kind: string, name: string = ''): Enlistment | undefined {
    if (this.#count === MAX_ENLISTED) return undefined
    this.#count += 1
    const group = name === '' ? kind : `${kind} ${JSON.stringify(name)}`
    const order = this.#made.get(group) ?? 0
    this.#made.set(group, order + 1)
    return { group, order, name: `${name}#${order}` }
  }

  /** Remembers the object for as long as somebody else does. */
  add(enlistment: Enlistment, object: T): void {
    const id = idOf(enlistment)
    this.#living.set(id, { enlistment, object: new WeakRef(object) })
    this.#gone.register(object, id)
  }

  /** Gives all objects that are left to `share`, in order, and describes the whole for workers. */
  shareAll(share: (object: T, name: string) => void): EnlistmentsDescription {
    const shared = new Set<string>()
    for (const [id, { enlistment, object }] of this.#living) {
      const living = object.deref()
      if (living === undefined) continue
      share(living, enlistment.name)
      shared.add(id)
    }
    this.#living.clear()
    return { made: new Map(this.#made), shared }
  }
}

/**
 * Whether the main thread shares this object of worker `workerIndex`.
 * @throws {@link ProxyError} `PGR_SHARED_MEMORY_MISMATCH` when it has made none such.
 */
export function isShared(
  { made, shared }: EnlistmentsDescription,
  enlistment: Enlistment,
  workerIndex: number,
): boolean {
  const { group, order } = enlistment
  const count = made.get(group) ?? 0
  if (order < count) return shared.has(idOf(enlistment))
  const text = `shared memory ${group}: worker ${workerIndex} makes number ${order + 1}, the main thread made ${count}; ${ADVICE}`
  throw new ProxyError('PGR_SHARED_MEMORY_MISMATCH', text)
}

function idOf({ group, order }: Enlistment): string {
  return `${group}#${order}`
}

/** What to do when threads have made different objects. */
export const ADVICE =
  'all threads must make the same objects in the same order and with the same options; give those a name that only some threads make, or that come in another order'

/** As many as there can be regions. */
export const MAX_ENLISTED = 65_536
