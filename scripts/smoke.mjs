/**
 * Does what the README promises: `npm start`, six requests, SIGINT. Every answer must be 200 and
 * the program must end by itself with exit code 0.
 */
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { get } from 'node:http'
import { ROOT } from './house.mjs'

const READY = 'listening on 127.0.0.1:6188'
const START_LIMIT_MS = 60_000
const STOP_LIMIT_MS = 10_000
const REQUESTS = 6

// Its own process group, so that whatever is left of it can be killed in the end.
const child = spawn('npm', ['start'], {
  cwd: ROOT,
  detached: true,
  stdio: ['ignore', 'pipe', 'pipe'],
})
const exited = new Promise((resolve) => {
  child.once('close', (code, signal) => resolve(signal ?? code))
})
let output = ''

try {
  await withLimit(START_LIMIT_MS, `a line with "${READY}"`, becomesReady())
  for (let request = 1; request <= REQUESTS; request++) {
    const status = await fetchStatus()
    if (status !== 200) throw new Error(`request ${request} was answered with ${status}, not 200`)
  }
  process.kill(innermost(child.pid), 'SIGINT')
  const end = await withLimit(STOP_LIMIT_MS, 'the end after SIGINT', exited)
  if (end !== 0) throw new Error(`npm start ended with ${end} after SIGINT, not with 0`)
  console.log(`smoke: npm start answered ${REQUESTS} × 200 and ended cleanly on SIGINT`)
} catch (error) {
  killGroup()
  console.error(output)
  console.error(`smoke: ${error.message}`)
  process.exitCode = 1
}

function becomesReady() {
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
        if (output.includes(READY)) resolve()
      })
    }
    void exited.then((end) => reject(new Error(`npm start ended with ${end} before it listened`)))
  })
}

/** A connection of its own per request, as separate runs of curl make. */
function fetchStatus() {
  return new Promise((resolve, reject) => {
    const request = get(
      { host: '127.0.0.1', port: 6188, agent: false, timeout: 5_000 },
      (response) => {
        response.resume()
        response.once('end', () => resolve(response.statusCode))
        response.once('error', reject)
      },
    )
    request.once('timeout', () => request.destroy(new Error('no answer within 5 s')))
    request.once('error', reject)
  })
}

async function withLimit(limitMs, what, promise) {
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${limitMs} ms for ${what}`)), limitMs)
  })
  try {
    return await Promise.race([promise, limit])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The process that npm and its shell have started: it alone decides how to end, and npm hands its
 * exit code on. A signal to npm or to the shell would end those two with the signal instead.
 */
function innermost(pid) {
  const children = readdirSync('/proc').filter(
    (name) => /^\d+$/.test(name) && parentOf(name) === pid,
  )
  return children.length === 0 ? pid : innermost(Number(children[0]))
}

function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined // It ended while we looked.
  }
}

function killGroup() {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}
