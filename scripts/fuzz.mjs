/**
 * Fuzzes for a given time: the HTTP/1 codec in memory, or the whole proxy over loopback sockets.
 *
 *   npm run fuzz -- [--target codec|proxy] [--seconds N] [--seed S]
 *
 * Prints the seed, and as the last line what was run and found; exit code 1 when there is a failure.
 * Codec inputs that fail are saved to `test/fuzz/corpus/`, where the test suite tries them again.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { ROOT, buildTests } from './house.mjs'

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'codec' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
})
const seconds = Number(values.seconds)
const seed = Number(values.seed)

if (!['codec', 'proxy'].includes(values.target) || !(seconds > 0) || !Number.isInteger(seed)) {
  console.error('usage: npm run fuzz -- [--target codec|proxy] [--seconds N] [--seed S]')
  process.exitCode = 2
} else if ((await buildTests()).code !== 0) {
  process.exitCode = 1
} else {
  console.log(`seed ${seed}`)
  process.exitCode = (await (values.target === 'codec' ? codec() : proxy())) === 0 ? 0 : 1
}

async function codec() {
  const { fuzzCodec, codecFuzzSummary } = await load('codec-fuzz.js')
  const result = fuzzCodec({ seconds, seed, save: true, report: (line) => console.log(line) })
  console.log(codecFuzzSummary(seed, result))
  return result.failures
}

async function proxy() {
  const { fuzzProxy, proxyFuzzSummary } = await load('proxy-fuzz.js')
  const result = await fuzzProxy({ seconds, seed, report: (line) => console.log(line) })
  console.log(proxyFuzzSummary(seed, result))
  return result.failures
}

function load(file) {
  return import(pathToFileURL(join(ROOT, 'build/test/fuzz', file)).href)
}
