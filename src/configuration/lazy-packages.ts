/**
 * `zod` and `yaml`, loaded when the first file is read: together they take longer than everything
 * else at the start of a program, and one without a file needs neither.
 */
import { createRequire } from 'node:module'

/** The validation library. Loads it on the first call. */
export function zod(): (typeof import('zod'))['z'] {
  return (load('zod') as typeof import('zod')).z
}

/** The YAML library. Loads it on the first call. */
export function yaml(): typeof import('yaml') {
  return load('yaml') as typeof import('yaml')
}

const load = createRequire(import.meta.url)
