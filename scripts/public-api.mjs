/** What the package offers: the subpaths of `exports`, derived from the parts that exist. */
import { listFiles } from './house.mjs'

/** The parts with a public face: every folder `src/<part>/` that holds an `index.ts`. */
export function publicParts() {
  return listFiles('src', (path) => /^src\/[^/]+\/index\.ts$/.test(path)).map(
    (path) => path.split('/')[1],
  )
}

/** The value that `exports` of `package.json` must have: one pair per part, and nothing else. */
export function expectedExports() {
  const pair = (path) => ({ types: `./dist/${path}.d.ts`, default: `./dist/${path}.js` })
  return {
    '.': pair('index'),
    ...Object.fromEntries(publicParts().map((part) => [`./${part}`, pair(`${part}/index`)])),
    './package.json': './package.json',
  }
}

/** The names a program imports: `pingora-ts`, `pingora-ts/http`, … */
export function publicSpecifiers() {
  return ['pingora-ts', ...publicParts().map((part) => `pingora-ts/${part}`)]
}
