/** Inputs that once failed, kept as files so that each is tried again in every run. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../helpers/project-root.js'

/** One saved input. */
export interface CorpusEntry {
  readonly name: string
  /** One character per byte. */
  readonly text: string
}

/** Reads all saved inputs. */
export function readCorpus(): CorpusEntry[] {
  return readdirSync(folder())
    .filter((name) => name.endsWith('.bin'))
    .sort()
    .map((name) => ({ name, text: readFileSync(join(folder(), name), 'latin1') }))
}

/** Saves `text` under a name made of its content; returns the path. */
export function saveToCorpus(text: string): string {
  mkdirSync(folder(), { recursive: true })
  const digest = createHash('sha256').update(text, 'latin1').digest('hex')
  const path = join(folder(), `${digest.slice(0, 16)}.bin`)
  writeFileSync(path, text, 'latin1')
  return path
}

function folder(): string {
  return join(projectRoot(), 'test/fuzz/corpus')
}
