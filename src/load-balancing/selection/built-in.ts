/** The selections that go by a name. */
import { ProxyError } from '../../error/index.js'
import { Random } from './random.js'
import { RoundRobin } from './round-robin.js'
import type { BackendSelection } from './selection.js'

/** The names of the selections that come with the project. */
export type SelectionName = 'round_robin' | 'random'

/**
 * The selection with this name; one that is given as an object is returned as it is.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` for an unknown name.
 */
export function resolveSelection(selection: SelectionName | BackendSelection): BackendSelection {
  if (typeof selection !== 'string') return selection
  const known = BUILT_IN.find(({ name }) => name === selection)
  if (known) return known
  const names = BUILT_IN.map(({ name }) => name).join(', ')
  throw new ProxyError('PGR_OPTION_INVALID', `selection: one of ${names}, got ${selection}`)
}

const BUILT_IN: readonly BackendSelection[] = [new RoundRobin(), new Random()]
