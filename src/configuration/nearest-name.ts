/** Finds the known name that a mistyped one most likely stands for. */

/**
 * The name of `known` nearest to `name`, or `undefined` when none is near: up to two edits, one for
 * names of three letters or fewer. Letter case counts as no edit. Only the first 64 letters count.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const wanted = name.slice(0, MAX_LETTERS).toLowerCase()
  let nearest: string | undefined
  let least = wanted.length <= 3 ? 1.5 : 2.5
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.slice(0, MAX_LETTERS).toLowerCase())
    if (distance < least) {
      least = distance
      nearest = candidate
    }
  }
  return nearest
}

/** Insertions, deletions and replacements that turn `from` into `to`. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1)
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1))
    }
    previous = current
  }
  return previous[to.length]!
}

/** Bounds the work that one hostile key can cause. */
const MAX_LETTERS = 64
