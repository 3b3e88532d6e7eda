import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Counters } from '../observability/index.js'
import { DeadlineWheel, ManualClock } from '../time/index.js'
import { RecordingConnection } from '../../test/helpers/recording-connection.js'
import { WorldLogger, logText } from '../testing/log.js'
import { ConnectionPool } from './pool.js'

const IDLE_MS = 60_000

describe('ConnectionPool', () => {
  test('hands out the connection that was released last, per key', () => {
    const { pool } = setup()
    const [first, second, other] = [
      new RecordingConnection(),
      new RecordingConnection(),
      new RecordingConnection(),
    ]
    pool.release('a', first, IDLE_MS)
    pool.release('a', second, IDLE_MS)
    pool.release('b', other, IDLE_MS)
    assert.equal(pool.size, 3)
    assert.equal(pool.take('a'), second)
    assert.equal(pool.take('a'), first)
    assert.equal(pool.take('a'), undefined)
    assert.equal(pool.take('b'), other)
    assert.equal(pool.take('never seen'), undefined)
    assert.equal(pool.size, 0)
  })

  test('reads while a connection waits', () => {
    const { pool } = setup()
    const connection = new RecordingConnection()
    pool.release('a', connection, IDLE_MS)
    assert.equal(connection.reading, true)
  })

  test('a connection can come and go many times, under other keys too', () => {
    const { pool, clock } = setup()
    const connection = new RecordingConnection()
    for (let round = 0; round < 10; round++) {
      const key = round % 2 === 0 ? 'a' : 'b'
      pool.release(key, connection, IDLE_MS)
      clock.advance(IDLE_MS / 2)
      assert.equal(pool.take(key), connection)
      clock.advance(IDLE_MS * 2)
      assert.equal(connection.destroyed, false)
    }
  })

  test('a second release of a waiting connection changes nothing', () => {
    const { pool } = setup()
    const connection = new RecordingConnection()
    pool.release('a', connection, IDLE_MS)
    pool.release('a', connection, IDLE_MS)
    assert.equal(pool.size, 1)
    pool.take('a')
    assert.equal(pool.take('a'), undefined)
  })

  test('closes a connection that waited for too long', () => {
    const { pool, clock } = setup()
    const connection = new RecordingConnection()
    pool.release('a', connection, 1_000)
    clock.advance(999)
    assert.equal(connection.destroyed, false)
    clock.advance(51)
    assert.equal(connection.destroyed, true)
    assert.equal(pool.size, 0)
    assert.equal(pool.take('a'), undefined)
  })

  test('keeps nothing with an idle time of 0, nor with bytes pending', () => {
    const { pool } = setup()
    const [unwanted, busy] = [new RecordingConnection(), new RecordingConnection()]
    busy.pendingBytes = 1
    pool.release('a', unwanted, 0)
    pool.release('a', busy, IDLE_MS)
    assert.deepEqual([unwanted.destroyed, busy.destroyed, pool.size], [true, true, 0])
  })

  test('closes what was idle for longest when there are too many', () => {
    const { pool } = setup(2)
    const connections = ['a', 'b', 'c'].map((key) => {
      const connection = new RecordingConnection()
      pool.release(key, connection, IDLE_MS)
      return connection
    })
    assert.deepEqual(
      connections.map((connection) => connection.destroyed),
      [true, false, false],
    )
    assert.equal(pool.size, 2)
    assert.equal(pool.take('a'), undefined)
  })

  test('keeps nothing when the limit is 0', () => {
    const { pool } = setup(0)
    const connection = new RecordingConnection()
    pool.release('a', connection, IDLE_MS)
    assert.equal(connection.destroyed, true)
  })

  test('drops a connection whose peer speaks unasked, and says so', () => {
    const { pool, counters, log } = setup()
    const connection = new RecordingConnection()
    pool.release('a', connection, IDLE_MS)
    connection.receive('x')
    assert.equal(connection.destroyed, true)
    assert.equal(pool.take('a'), undefined)
    assert.equal(counters.get('upstreamUnexpectedData'), 1)
    assert.deepEqual(log, ['warn upstream spoke on an idle connection peer=10.0.0.1:80 key=a'])
  })

  test('drops a connection whose peer ends or closes, in silence', () => {
    const { pool, counters, log } = setup()
    const [ended, closed, middle] = [
      new RecordingConnection(),
      new RecordingConnection(),
      new RecordingConnection(),
    ]
    for (const connection of [ended, middle, closed]) pool.release('a', connection, IDLE_MS)
    ended.handler.onEnd()
    closed.close()
    assert.equal(ended.destroyed, true)
    assert.equal(pool.size, 1)
    assert.equal(pool.take('a'), middle)
    assert.equal(counters.get('upstreamUnexpectedData'), 0)
    assert.deepEqual(log, [])
  })

  test('never hands out a connection that is destroyed already', () => {
    const { pool } = setup()
    const [good, dead] = [new RecordingConnection(), new RecordingConnection()]
    pool.release('a', good, IDLE_MS)
    pool.release('a', dead, IDLE_MS)
    dead.destroyed = true
    assert.equal(pool.take('a'), good)
    const gone = new RecordingConnection()
    gone.destroyed = true
    pool.release('a', gone, IDLE_MS)
    assert.equal(pool.size, 0)
  })

  test('closeAll closes what waits and what comes back later', () => {
    const { pool } = setup()
    const [waiting, used] = [new RecordingConnection(), new RecordingConnection()]
    pool.release('a', used, IDLE_MS)
    pool.take('a')
    pool.release('a', waiting, IDLE_MS)
    pool.closeAll()
    pool.release('a', used, IDLE_MS)
    assert.deepEqual([waiting.destroyed, used.destroyed, pool.size], [true, true, 0])
  })

  test('holds no timer for connections that are in use', () => {
    const { pool, clock } = setup()
    const connection = new RecordingConnection()
    pool.release('a', connection, IDLE_MS)
    pool.take('a')
    clock.advance(2_000_000)
    assert.equal(clock.pending, 0)
  })

  test('two pools do not mix up a connection that moves from one to the other', () => {
    const [one, two] = [setup(), setup()]
    const connection = new RecordingConnection()
    one.pool.release('a', connection, IDLE_MS)
    one.pool.take('a')
    two.pool.release('a', connection, IDLE_MS)
    assert.deepEqual([one.pool.size, two.pool.size], [0, 1])
    assert.equal(two.pool.take('a'), connection)
  })

  test('behaves as plain lists do, over many keys', () => {
    const step = fc.record({
      action: fc.constantFrom('release', 'release', 'release', 'take', 'end', 'wait'),
      key: fc.nat(5),
      which: fc.nat(20),
    })
    const agrees = fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const model = new Model()
      for (const { action, key, which } of steps) model.run(action, String(key), which)
    })
    fc.assert(agrees, { numRuns: 300 })
  })

  test('forgets the keys of peers that are gone', () => {
    const { pool } = setup()
    for (let index = 0; index < 1_000; index++) {
      const connection = new RecordingConnection()
      pool.release(`peer ${index}`, connection, IDLE_MS)
      assert.equal(pool.take(`peer ${index}`), connection)
    }
    const back = new RecordingConnection()
    pool.release('peer 0', back, IDLE_MS)
    assert.equal(pool.take('peer 0'), back)
    assert.equal(pool.size, 0)
  })
})

/** The pool beside a list, newest last. */
class Model {
  readonly #maxIdle = 4
  readonly #clock = new ManualClock()
  readonly #pool = setup(this.#maxIdle, this.#clock).pool
  #idle: { key: string; connection: RecordingConnection; untilMs: number }[] = []

  run(action: string, key: string, which: number): void {
    if (action === 'release') {
      const connection = new RecordingConnection()
      this.#pool.release(key, connection, 1_000)
      this.#idle.push({ key, connection, untilMs: this.#clock.nowMs() + 1_000 })
      if (this.#idle.length > this.#maxIdle) {
        assert.equal(this.#idle.shift()?.connection.destroyed, true)
      }
    } else if (action === 'take') {
      const index = this.#idle.findLastIndex((entry) => entry.key === key)
      const [entry] = index === -1 ? [] : this.#idle.splice(index, 1)
      assert.equal(this.#pool.take(key), entry?.connection)
    } else if (action === 'end') {
      const [entry] = this.#idle.splice(which % Math.max(1, this.#idle.length), 1)
      entry?.connection.handler.onEnd()
    } else {
      this.#clock.advance(which * 50)
      this.#idle = this.#idle.filter((entry) => entry.untilMs > this.#clock.nowMs())
    }
    assert.equal(this.#pool.size, this.#idle.length)
    for (const entry of this.#idle) assert.equal(entry.connection.destroyed, false)
  }
}

interface Setup {
  readonly pool: ConnectionPool
  readonly clock: ManualClock
  readonly counters: Counters
  /** The lines that were logged. */
  readonly log: string[]
}

function setup(maxIdleConnections: number = 128, clock: ManualClock = new ManualClock()): Setup {
  const counters = new Counters()
  const log: string[] = []
  const logger = new WorldLogger(
    () => clock.nowMs(),
    (record) => log.push(logText(record)),
  )
  const deadlines = new DeadlineWheel(clock)
  const pool = new ConnectionPool({ deadlines, maxIdleConnections, counters, logger })
  return { pool, clock, counters, log }
}
