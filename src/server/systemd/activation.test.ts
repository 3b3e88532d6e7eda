import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SILENT_LOGGER } from '../../observability/index.js'
import type { Sockets } from '../../os/internal.js'
import type { InheritedSocket, ListeningSockets } from '../../transport/index.js'
import { takeActivatedSockets } from './activation.js'

const PID = 4_711
/** What the descriptors are; others are no sockets that listen. */
const BOUND = new Map<number, ReturnType<Sockets['boundName']>>([
  [3, { kind: 'ip', host: '0.0.0.0', port: 6_188 }],
  [4, { kind: 'ip', host: '::', port: 6_188 }],
  [6, { kind: 'unix', path: '\0name' }],
])

function take(variables: NodeJS.ProcessEnv, isAvailable = true) {
  const taken: InheritedSocket[] = []
  const closedOnExec: number[] = []
  const log: string[] = []
  const sockets: Pick<Sockets, 'closeOnExec' | 'isListening' | 'boundName'> = {
    closeOnExec: (fd) => closedOnExec.push(fd),
    isListening: (fd) => BOUND.has(fd),
    boundName: (fd) => BOUND.get(fd) ?? null,
  }
  const listening: Pick<ListeningSockets, 'inherit'> = {
    inherit: (more) => {
      taken.push(...more)
    },
  }
  const hasSockets = takeActivatedSockets({
    variables,
    pid: PID,
    sockets: isAvailable ? (sockets as Sockets) : null,
    listening: isAvailable ? (listening as ListeningSockets) : null,
    logger: {
      ...SILENT_LOGGER,
      info: (message) => log.push(message),
      warn: (message) => log.push(`warn: ${message}`),
    },
  })
  return { hasSockets, taken, closedOnExec, log }
}

describe('socket activation', () => {
  test('takes what listens, by its address, and removes the variables', () => {
    const variables: NodeJS.ProcessEnv = {
      LISTEN_PID: String(PID),
      LISTEN_FDS: '4',
      LISTEN_FDNAMES: 'web::dns',
      PATH: '/bin',
    }
    const { hasSockets, taken, closedOnExec, log } = take(variables)
    assert.equal(hasSockets, true)
    assert.deepEqual(taken, [
      { fd: 3, name: '0.0.0.0:6188', isSupervised: true },
      { fd: 4, name: '[::]:6188', isSupervised: true },
      { fd: 6, name: 'unix:@name', isSupervised: true },
    ])
    assert.deepEqual(closedOnExec, [3, 4, 5, 6])
    assert.deepEqual(log, [
      'systemd: descriptor 3 (web) listens on 0.0.0.0:6188',
      'systemd: descriptor 4 listens on [::]:6188',
      'warn: systemd: descriptor 5 (dns) is no socket that listens',
      'systemd: descriptor 6 listens on unix:@name',
    ])
    assert.deepEqual(variables, { PATH: '/bin' })
  })

  test('takes nothing that is for another process, or is no number', () => {
    for (const variables of [
      {},
      { LISTEN_FDS: '1' },
      { LISTEN_FDS: '1', LISTEN_PID: '1' },
      { LISTEN_FDS: '0', LISTEN_PID: String(PID) },
      { LISTEN_FDS: '-1', LISTEN_PID: String(PID) },
      { LISTEN_FDS: '1 ', LISTEN_PID: String(PID) },
      { LISTEN_FDS: '99999', LISTEN_PID: String(PID) },
    ]) {
      const { hasSockets, closedOnExec, log } = take(variables)
      assert.deepEqual([hasSockets, closedOnExec, log], [false, [], []])
      assert.deepEqual(variables, {})
    }
  })

  test('says what it needs where that is missing', () => {
    const { hasSockets, log } = take({ LISTEN_FDS: '1', LISTEN_PID: String(PID) }, false)
    assert.equal(hasSockets, false)
    assert.deepEqual(log, [
      'warn: the sockets of systemd are not taken: that needs Linux and the package koffi',
    ])
  })
})
