import assert from 'node:assert/strict'
import * as crypto from 'node:crypto'
import * as dns from 'node:dns'
import * as fs from 'node:fs'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { eventTurn } from '../time/internal.js'
import { PendingJobs } from './pending-jobs.js'

/** Work that takes a while outside of JavaScript, and calls back. */
const WORK: Record<string, () => Promise<unknown>> = {
  gzip: () => promisify(zlib.gzip)(LARGE),
  brotli: () => promisify(zlib.brotliCompress)('text'),
  'gunzip of garbage': () => promisify(zlib.gunzip)('garbage').catch(() => undefined),
  pbkdf2: () => promisify(crypto.pbkdf2)('password', 'salt', 100, 16, 'sha256'),
  scrypt: () => promisify(crypto.scrypt)('password', 'salt', 16),
  hkdf: () => promisify(crypto.hkdf)('sha256', 'key', 'salt', 'info', 16),
  randomBytes: () => promisify(crypto.randomBytes)(16),
  sign: () =>
    new Promise((resolve) => {
      crypto.sign('sha256', Buffer.from('text'), KEYS.privateKey, resolve)
    }),
  generateKeyPair: () => promisify(crypto.generateKeyPair)('ec', { namedCurve: 'P-256' }),
  'subtle.digest': () => crypto.webcrypto.subtle.digest('SHA-256', Buffer.from('text')),
  'subtle.sign': async () => {
    const algorithm = { name: 'HMAC', hash: 'SHA-256' }
    const bytes = Buffer.alloc(32)
    const key = await crypto.webcrypto.subtle.importKey('raw', bytes, algorithm, false, ['sign'])
    return crypto.webcrypto.subtle.sign('HMAC', key, Buffer.from('text'))
  },
  'fs callback': () => promisify(fs.readFile)(FILE),
  'fs promise': () => fs.promises.readFile(FILE),
  'fs failure': () => fs.promises.stat(`${FILE}.missing`).catch(() => undefined),
  'fs stream': async () => {
    for await (const _chunk of fs.createReadStream(FILE));
  },
  lookup: () => dns.promises.lookup('localhost'),
  'an immediate': () => new Promise((resolve) => setImmediate(resolve)),
  'immediates in a row': async () => {
    for (let count = 0; count < 20; count++) await new Promise((resolve) => setImmediate(resolve))
  },
}

describe('PendingJobs', () => {
  for (const [name, work] of Object.entries(WORK)) {
    test(`counts ${name} until it has called back`, async (t) => {
      const jobs = counting(t)
      let done = false
      const working = work().then(() => {
        done = true
      })
      // Some begin only after a few promises and ticks.
      for (let step = 0; step < 50 && jobs.count === 0; step++) {
        await new Promise<void>((resolve) => {
          process.nextTick(resolve)
        })
      }
      assert.ok(jobs.count > 0, 'nothing was counted')
      await settled(jobs)
      assert.ok(done, 'nothing was counted although it was not done')
      await working
    })
  }

  test('counts zstd, where Node has it', async (t) => {
    const compress = (zlib as { zstdCompress?: typeof zlib.gzip }).zstdCompress
    if (compress === undefined) return
    const jobs = counting(t)
    let done = false
    const working = promisify(compress)('text').then(() => {
      done = true
    })
    await settled(jobs)
    assert.ok(done)
    await working
  })

  test('counts a stream only while it compresses', async (t) => {
    const jobs = counting(t)
    const gzip = zlib.createGzip()
    t.after(() => gzip.destroy())
    let output = 0
    gzip.on('data', (chunk: Buffer) => {
      output += chunk.length
    })
    await settled(jobs)
    assert.equal(jobs.count, 0)
    for (let round = 0; round < 3; round++) {
      const before = output
      gzip.write(LARGE)
      gzip.flush()
      await settled(jobs)
      assert.ok(output > before)
    }
  })

  test('does not count what is synchronous, nor a cleared immediate', async (t) => {
    const jobs = counting(t)
    crypto.pbkdf2Sync('password', 'salt', 1, 16, 'sha256')
    crypto.randomBytes(16)
    crypto.sign('sha256', Buffer.from('text'), KEYS.privateKey)
    zlib.gzipSync('text')
    fs.readFileSync(FILE)
    assert.equal(jobs.count, 0)
    clearImmediate(setImmediate(() => undefined))
    await settled(jobs)
  })

  test('does not count its own turns', async (t) => {
    const jobs = counting(t)
    const turn = eventTurn()
    assert.equal(jobs.count, 0)
    await turn
  })

  test('names the kinds in flight, and forgets them when stopped', async (t) => {
    const jobs = counting(t)
    const working = Promise.all([WORK['gzip']!(), WORK['pbkdf2']!(), WORK['pbkdf2']!()])
    assert.equal(jobs.describe(), '1 ZLIB, 2 PBKDF2REQUEST')
    jobs.stop()
    assert.equal(jobs.count, 0)
    await working
  })
})

function counting(t: TestContext): PendingJobs {
  const jobs = new PendingJobs()
  jobs.start()
  t.after(() => {
    jobs.stop()
  })
  return jobs
}

/** Goes on as long as something is in flight, as the driver of a world does. */
async function settled(jobs: PendingJobs): Promise<void> {
  for (let quiet = 0; quiet < 2;) {
    await eventTurn()
    quiet = jobs.count > 0 ? 0 : quiet + 1
  }
}

const FILE = fileURLToPath(import.meta.url)
const LARGE = Buffer.alloc(1_000_000, 'some text that is compressed ')
const KEYS = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
