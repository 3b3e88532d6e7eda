import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { testWorld } from '../../../test/helpers/test-world.js'
import { SILENT_LOGGER } from '../../observability/index.js'
import type { Sockets } from '../../os/internal.js'
import type { TestWorld } from '../../testing/index.js'
import { SystemdNotifier } from './notify.js'

const { EAGAIN, ECONNREFUSED } = constants.errno
const PID = 4_711

interface SetUp {
  readonly world: TestWorld
  readonly notifier: SystemdNotifier | null
  /** What was sent, as `PATH MESSAGE`. */
  readonly sent: string[]
  readonly warnings: string[]
  /** What a send returns; 1 when it is empty. */
  readonly results: number[]
}

function setUp(
  t: TestContext,
  variables: NodeJS.ProcessEnv,
  parts: { readonly sockets?: null } = {},
): SetUp {
  const world = testWorld(t)
  const [sent, warnings, results]: [string[], string[], number[]] = [[], [], []]
  let path = ''
  // Stands in for the four calls that a message takes.
  const sockets: Pick<Sockets, 'openDatagram' | 'connect' | 'send' | 'close'> = {
    openDatagram: () => 9,
    connect: (_fd, name) => {
      path = name.kind === 'unix' ? name.path : ''
      return 0
    },
    send: (_fd, [message]) => {
      const result = results.shift() ?? 1
      if (result > 0) sent.push(`${path} ${String(message)}`)
      return result
    },
    close: () => undefined,
  }
  const logger = {
    ...SILENT_LOGGER,
    warn: (message: string, fields?: object) =>
      warnings.push(fields ? `${message} ${JSON.stringify(fields)}` : message),
  }
  const notifier = SystemdNotifier.of({
    variables,
    pid: PID,
    sockets: parts.sockets === null ? null : (sockets as Sockets),
    clock: world.clock,
    logger,
  })
  return { world, notifier, sent, warnings, results }
}

describe('SystemdNotifier', () => {
  test('is none where nobody asks, or cannot be asked', (t) => {
    for (const [variables, parts, expected] of [
      [{}, {}, []],
      [{ NOTIFY_SOCKET: '' }, {}, []],
      [
        { NOTIFY_SOCKET: 'vsock:2:1' },
        {},
        ['systemd is not told: NOTIFY_SOCKET is no unix socket: vsock:2:1'],
      ],
      [
        { NOTIFY_SOCKET: '/n' },
        { sockets: null },
        ['systemd is not told: that needs Linux and the package koffi'],
      ],
    ] as const) {
      const { notifier, warnings } = setUp(t, variables, parts)
      assert.equal(notifier, null)
      assert.deepEqual(warnings, expected)
    }
  })

  test('writes an abstract name as the kernel does', async (t) => {
    const { notifier, sent } = setUp(t, { NOTIFY_SOCKET: '@systemd/n' })
    await notifier!.ready(false)
    await notifier!.ready(true)
    notifier!.stopping()
    assert.deepEqual(sent, [
      '\0systemd/n READY=1',
      `\0systemd/n READY=1\nMAINPID=${PID}`,
      '\0systemd/n STOPPING=1',
    ])
  })

  test('gives a sign of life at half of the time that the watchdog waits', async (t) => {
    const watchdog = { NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '3000000' }
    for (const [variables, beats] of [
      [watchdog, 2],
      [{ ...watchdog, WATCHDOG_PID: String(PID) }, 2],
      [{ ...watchdog, WATCHDOG_PID: '1' }, 0],
      [{ ...watchdog, WATCHDOG_USEC: '0' }, 0],
      [{ ...watchdog, WATCHDOG_USEC: 'soon' }, 0],
    ] as const) {
      const { world, notifier, sent } = setUp(t, variables)
      await notifier!.ready(false)
      await world.advance(1_499)
      assert.deepEqual(sent, ['/n READY=1'])
      await world.advance(1_501)
      assert.deepEqual(sent.slice(1), new Array<string>(beats).fill('/n WATCHDOG=1'))
      notifier!.end()
      assert.equal(world.clock.pending, 0)
    }
  })

  test('waits for room in the queue, for a message is never asked for again', async (t) => {
    const { world, notifier, sent, warnings, results } = setUp(t, { NOTIFY_SOCKET: '/n' })
    results.push(-EAGAIN, -EAGAIN)
    await world.run(notifier!.ready(false))
    assert.deepEqual([sent, warnings], [['/n READY=1'], []])
    results.push(...new Array<number>(1_000).fill(-EAGAIN))
    await world.run(notifier!.ready(true))
    assert.deepEqual(warnings, [
      `systemd was not told READY=1 MAINPID=${PID} {"reason":"resource temporarily unavailable"}`,
    ])
  })

  test('logs what it could not send', async (t) => {
    const { notifier, warnings, results } = setUp(t, { NOTIFY_SOCKET: '/n' })
    results.push(-ECONNREFUSED)
    await notifier!.ready(false)
    assert.deepEqual(warnings, ['systemd was not told READY=1 {"reason":"connection refused"}'])
  })
})
