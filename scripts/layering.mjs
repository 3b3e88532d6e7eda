/**
 * Checks the floors: no import goes up, sideways or around a part's door, and no imports form a
 * cycle, not even of types only. Own code on TypeScript's import scanner, because the rule "two
 * parts on one floor do not see each other" cannot be said once in the usual tools.
 */
import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { DOORS, FACADE, FLOORS, IMPURE_MODULES, ONLY_IN, PURE_PARTS } from './floors.mjs'
import { ROOT, listFiles } from './house.mjs'

/** The part a file below `src/` belongs to: its top folder, or the file itself at the top. */
function partOf(file) {
  return file.split('/')[0]
}

/** Everything the file imports or re-exports: values, types, `import()` and `import('…').Type`. */
function importsOf(text) {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName, pos }) => ({
    specifier: fileName,
    line: text.slice(0, pos).split('\n').length,
  }))
}

/** Why an import of another part is wrong, or `undefined` when it is fine. */
function crossingFault(from, to) {
  const [fromPart, toPart] = [partOf(from), partOf(to)]
  const [fromFloor, toFloor] = [FLOORS[fromPart], FLOORS[toPart]]
  if (fromFloor === undefined || toFloor === undefined) return undefined // Reported once per part.
  const words = `${fromPart} (floor ${fromFloor}) imports ${toPart} (floor ${toFloor})`
  if (toFloor > fromFloor) return `upward: ${words}`
  if (toFloor === fromFloor) return `sideways: ${words}`
  if (toPart === FACADE) return undefined
  const doors = fromPart === FACADE ? DOORS.slice(0, 1) : DOORS
  if (!doors.some((door) => to === `${toPart}/${door}`)) {
    return `around the door: only ${doors.join(' or ')} of ${toPart} may be imported, not ${to}`
  }
  return undefined
}

/** Why an import of a package or of Node's own module is wrong, or `undefined`. */
function packageFault(from, specifier) {
  const part = partOf(from)
  const name = specifier.replace(/^node:/, '')
  if (specifier === 'pingora-ts' || specifier.startsWith('pingora-ts/')) {
    return `sources import each other by path, not as ${specifier}`
  }
  if (PURE_PARTS.includes(part) && IMPURE_MODULES.includes(name)) {
    return `${part} is pure: it must not import ${specifier}`
  }
  const owner = ONLY_IN[name]
  if (owner !== undefined && owner !== part) return `only ${owner} may import ${specifier}`
  return undefined
}

/** The faults of one import; records edges between existing files in `edges`. */
function checkImport(from, specifier, files, edges) {
  if (!specifier.startsWith('.')) return packageFault(from, specifier)
  const to = posix.normalize(posix.join(posix.dirname(from), specifier)).replace(/\.js$/, '.ts')
  if (to.startsWith('../')) return `leaves src: ${specifier}`
  if (!files.has(to)) return `no such file: ${specifier}`
  edges.get(from).add(to)
  return partOf(from) === partOf(to) ? undefined : crossingFault(from, to)
}

/** Every import cycle, each named once: Tarjan's strongly connected components, then one path. */
export function findCycles(edges) {
  const state = new Map()
  const stack = []
  const cycles = []
  const visit = (node) => {
    const own = { index: state.size, low: state.size, onStack: true }
    state.set(node, own)
    stack.push(node)
    for (const next of edges.get(node) ?? []) {
      const seen = state.get(next)
      if (seen === undefined) own.low = Math.min(own.low, visit(next))
      else if (seen.onStack) own.low = Math.min(own.low, seen.index)
    }
    if (own.low === own.index) {
      const component = stack.splice(stack.indexOf(node))
      for (const member of component) state.get(member).onStack = false
      const isLoop = component.length > 1 || edges.get(node)?.has(node)
      if (isLoop) cycles.push(shortestLoop(component, edges))
    }
    return own.low
  }
  for (const node of edges.keys()) if (!state.has(node)) visit(node)
  return cycles
}

/** One shortest way from the first file of a component back to itself. */
function shortestLoop(component, edges) {
  const members = new Set(component)
  const start = [...component].sort()[0]
  const cameFrom = new Map()
  const queue = [start]
  for (const node of queue) {
    for (const next of edges.get(node) ?? []) {
      if (next === start) {
        const path = [start]
        for (let at = node; at !== start; at = cameFrom.get(at)) path.splice(1, 0, at)
        return [...path, start]
      }
      if (members.has(next) && !cameFrom.has(next)) {
        cameFrom.set(next, node)
        queue.push(next)
      }
    }
  }
  return component
}

/** All faults of `src/`, as lines that name file, line and reason. Tests are exempt. */
export function checkLayering() {
  const sources = listFiles('src', (path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
  const files = new Set(sources.map((path) => path.slice('src/'.length)))
  const edges = new Map([...files].map((file) => [file, new Set()]))
  const faults = []
  for (const part of new Set([...files].map(partOf))) {
    if (FLOORS[part] === undefined) faults.push(`src/${part}: no floor in scripts/floors.mjs`)
  }
  for (const file of files) {
    for (const { specifier, line } of importsOf(readFileSync(join(ROOT, 'src', file), 'utf8'))) {
      const fault = checkImport(file, specifier, files, edges)
      if (fault !== undefined) faults.push(`src/${file}:${line}: ${fault}`)
    }
  }
  for (const cycle of findCycles(edges)) faults.push(`cycle: src/${cycle.join(' → src/')}`)
  return { faults, fileCount: files.size }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { faults, fileCount } = checkLayering()
  for (const fault of faults) console.error(fault)
  console.log(`layering: ${fileCount} files, ${faults.length} faults`)
  if (fileCount === 0) console.error('layering: no source files found')
  process.exitCode = faults.length > 0 || fileCount === 0 ? 1 : 0
}
