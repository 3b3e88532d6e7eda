import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { ManualClock } from '../time/index.js'
import { eventTurn } from '../time/internal.js'
import { Driver } from './driver.js'
import { PendingJobs } from './pending-jobs.js'

describe('Driver', () => {
  test('does nothing while nobody waits', async () => {
    const { clock, at, calls } = setup()
    at(0, 'now')
    for (let turn = 0; turn < 5; turn++) await eventTurn()
    assert.deepEqual(calls, [])
    assert.equal(clock.nowMs(), 0)
  })

  test('runs what is due at this instant, and what that starts, and lets no time pass', async () => {
    const { driver, clock, at, calls } = setup()
    at(0, 'first', () => {
      at(0, 'third')
    })
    at(0, 'second')
    at(1, 'later')
    await driver.idle()
    assert.deepEqual(calls, ['0 first', '0 second', '0 third'])
    assert.equal(clock.nowMs(), 0)
  })

  test('lets promises settle between two calls that are due at the same instant', async () => {
    const { driver, at, calls } = setup()
    at(0, 'first', () => {
      const chain = async (): Promise<void> => {
        for (let step = 0; step < 100; step++) await Promise.resolve()
        calls.push('settled')
      }
      void chain()
    })
    at(0, 'second')
    await driver.idle()
    assert.deepEqual(calls, ['0 first', 'settled', '0 second'])
  })

  test('is idle only when nobody whose wait is over goes on at this instant', async () => {
    const { driver, at, calls } = setup()
    const chain = async (): Promise<void> => {
      for (const name of ['first', 'second', 'third']) {
        at(0, name)
        await driver.until(() => calls.includes(`0 ${name}`), name, 0)
      }
    }
    const chained = chain()
    await driver.idle()
    assert.deepEqual(calls, ['0 first', '0 second', '0 third'])
    await chained
  })

  test('advances event by event, to the very end of the time', async () => {
    const { driver, clock, at, calls } = setup()
    at(10, 'a', () => {
      at(5, 'b')
    })
    at(20, 'c', () => {
      at(0, 'd')
    })
    at(20.5, 'e')
    await driver.advance(20)
    assert.deepEqual(calls, ['10 a', '15 b', '20 c', '20 d'])
    assert.equal(clock.nowMs(), 20)
    await driver.advance(100)
    assert.deepEqual(calls.slice(4), ['20.5 e'])
    assert.equal(clock.nowMs(), 120)
  })

  test('waits for a condition no longer than it must', async () => {
    const { driver, clock, at, calls } = setup()
    at(10, 'a')
    at(20, 'b')
    at(30, 'c')
    await driver.until(() => calls.length === 2, 'two calls', 1_000)
    assert.equal(clock.nowMs(), 20)
  })

  test('looks at a condition only when the instant is over', async () => {
    const { driver, at, calls } = setup()
    for (const name of ['a', 'b', 'c']) at(10, name)
    await driver.until(() => calls.length > 0, 'a call', 10)
    assert.equal(calls.length, 3)
  })

  test('fails a wait that is over with what was waited for and what happened', async () => {
    const { driver, clock, at } = setup()
    at(50, 'in time')
    at(101, 'too late')
    const waiting = driver.until(() => false, 'the moon', 100)
    await assert.rejects(waiting, (error: Error) => {
      assert.match(error.message, /^waited in vain for the moon: it did not come by 100 ms\n/)
      assert.match(error.message, /report at 100/)
      assert.match(error.stack ?? '', /driver\.test/, 'the stack names who waited')
      return true
    })
    assert.equal(clock.nowMs(), 100)
  })

  test('a wait of no time fails once this instant is over', async () => {
    const { driver, clock, at, calls } = setup()
    at(0, 'now')
    at(1, 'later')
    await assert.rejects(
      driver.until(() => calls.length === 2, 'both', 0),
      /both/,
    )
    assert.equal(clock.nowMs(), 0)
    await driver.until(() => calls.length === 1, 'one', 0)
  })

  test('a wait is not over while somebody else goes on at this instant', async () => {
    const { driver, at, calls } = setup()
    at(0, 'first')
    const acting = driver
      .until(() => calls.length === 1, 'the first', 0)
      .then(() => {
        at(0, 'second')
      })
    await driver.until(() => calls.length === 2, 'the second', 0)
    await acting
  })

  test('rejects with what a condition throws', async () => {
    const { driver } = setup()
    const condition = (): boolean => {
      throw new TypeError('of the condition')
    }
    await assert.rejects(driver.until(condition, 'it', 10), { message: 'of the condition' })
    await driver.idle()
  })

  test('serves several waits at once, each with its own time', async () => {
    const { driver, clock, at, calls } = setup()
    for (let ms = 10; ms <= 100; ms += 10) at(ms, `${ms}`)
    const times = await Promise.all([
      driver.advance(35).then(() => clock.nowMs()),
      driver.until(() => calls.length === 2, 'two', 100).then(() => clock.nowMs()),
      driver.until(() => false, 'nothing', 55).catch(() => clock.nowMs()),
      driver.idle().then(() => clock.nowMs()),
    ])
    assert.deepEqual(times, [35, 20, 55, 0])
    assert.equal(clock.nowMs(), 55)
  })

  test('gives who waited its turn before time goes on for the others', async () => {
    const { driver, clock, at } = setup()
    at(100, 'late')
    const long = driver.until(() => clock.nowMs() >= 100, 'the end', 100)
    await driver.advance(10)
    const seen: number[] = []
    for (let step = 0; step < 3; step++) {
      await driver.advance(1)
      seen.push(clock.nowMs())
    }
    await driver.idle()
    assert.deepEqual(seen, [11, 12, 13])
    assert.equal(clock.nowMs(), 13)
    await long
    assert.equal(clock.nowMs(), 100)
  })

  test('returns what a promise gives, or throws what it throws', async () => {
    const { driver, clock } = setup()
    const later = <T>(ms: number, make: () => T): Promise<T> =>
      new Promise<void>((resolve) => {
        clock.schedule(ms, resolve)
      }).then(make)
    assert.equal(
      await driver.run(
        later(70, () => 'value'),
        100,
      ),
      'value',
    )
    const failing = later(70, () => {
      throw new Error('of the promise')
    })
    await assert.rejects(driver.run(failing, 100), { message: 'of the promise' })
    assert.equal(await driver.run(Promise.resolve(3), 0), 3)
    await assert.rejects(
      driver.run(
        later(101, () => 0),
        100,
      ),
      /waited in vain for a promise/,
    )
  })

  test('a wait that does not drive is served when others do, and lets no time pass itself', async () => {
    const { driver, clock, at, calls } = setup()
    at(10, 'a')
    at(20, 'b')
    let seenMs = -1
    const passive = driver
      .when(() => calls.length === 2, 'two', Infinity)
      .then(() => {
        seenMs = clock.nowMs()
      })
    const failing = assert.rejects(
      driver.when(() => false, 'nothing', 15),
      /nothing/,
    )
    await driver.idle()
    for (let turn = 0; turn < 5; turn++) await eventTurn()
    assert.equal(clock.nowMs(), 0)
    await driver.advance(16)
    await failing
    assert.equal(seenMs, -1)
    await driver.advance(100)
    await passive
    assert.equal(seenMs, 20)
  })

  test('says so when nothing will ever happen', async () => {
    const { driver } = setup()
    const waiting = driver.until(() => false, 'rain', Infinity)
    await assert.rejects(waiting, /waited in vain for rain: nothing will ever happen again/)
  })

  test('goes on after a call that throws, and tells of it', async () => {
    const { driver, at, calls, uncaught } = setup()
    at(1, 'bad', () => {
      throw new Error('of the call')
    })
    at(1, 'good')
    await driver.advance(1)
    assert.deepEqual(calls, ['1 bad', '1 good'])
    assert.deepEqual(uncaught.map(String), ['Error: of the call'])
  })

  test('stops a world that feeds itself for ever', async () => {
    const { driver, clock } = setup(null, 20_000)
    let feeding = true
    const feed = (): void => {
      if (feeding) clock.schedule(0, feed)
    }
    feed()
    await assert.rejects(
      driver.until(() => false, 'peace', 10),
      /peace: more than 20000 events/,
    )
    feeding = false
    await driver.idle()
  })

  test('a fault of the test ends every wait, now and later', async () => {
    const { driver, at } = setup()
    const fault = new Error('of a script')
    at(5, 'fault', () => {
      driver.fail(fault)
      driver.fail(new Error('a consequence'))
    })
    await assert.rejects(driver.advance(10), fault)
    await assert.rejects(driver.idle(), fault)
    assert.equal(driver.takeFault(), null, 'it was told')
    await driver.idle()
  })

  test('a fault that no wait has told is kept for the end', () => {
    const { driver } = setup()
    driver.fail('only text')
    assert.match(String(driver.takeFault()), /only text/)
  })

  test('closing ends what is waited for, and what will be', async () => {
    const { driver } = setup()
    const waiting = driver.until(() => false, 'the end', 1_000)
    driver.close()
    await assert.rejects(waiting, /waited in vain for the end: the world was closed/)
    await assert.rejects(driver.idle(), /the world is closed/)
  })

  test('refuses times that are none', async () => {
    const { driver } = setup()
    for (const ms of [-1, NaN]) {
      await assert.rejects(driver.advance(ms), { code: 'PGR_OPTION_INVALID' })
      await assert.rejects(
        driver.until(() => true, 'it', ms),
        { code: 'PGR_OPTION_INVALID' },
      )
    }
  })

  test('lets no time pass while a job is in flight', async (t) => {
    const { driver, clock, at } = setup(countedJobs(t))
    let doneAtMs = -1
    at(10, 'compress', () => {
      void promisify(gzip)(Buffer.alloc(3_000_000, 'abc')).then(() => {
        doneAtMs = clock.nowMs()
      })
    })
    at(11, 'next')
    await driver.advance(1_000)
    assert.equal(doneAtMs, 10)
  })

  test('lets no time pass while immediates follow each other', async (t) => {
    const { driver, clock, at } = setup(countedJobs(t))
    let doneAtMs = -1
    const chain = async (): Promise<void> => {
      for (let step = 0; step < 50; step++) await new Promise((resolve) => setImmediate(resolve))
      doneAtMs = clock.nowMs()
    }
    at(10, 'start', () => void chain())
    await driver.advance(1_000)
    assert.equal(doneAtMs, 10)
  })

  test('two worlds that count jobs do not wait for each other', async (t) => {
    const [first, second] = [setup(countedJobs(t)), setup(countedJobs(t))]
    await Promise.all([first.driver.advance(100), second.driver.advance(100)])
    assert.equal(first.clock.nowMs() + second.clock.nowMs(), 200)
  })
})

function countedJobs(t: TestContext): PendingJobs {
  const jobs = new PendingJobs()
  jobs.start()
  t.after(() => {
    jobs.stop()
  })
  return jobs
}

interface Setup {
  readonly driver: Driver
  readonly clock: ManualClock
  /** `${atMs} ${name}` of each call that ran. */
  readonly calls: string[]
  readonly uncaught: unknown[]
  /** Schedules a call. */
  at(delayMs: number, name: string, action?: () => void): void
}

function setup(jobs: PendingJobs | null = null, maxEventsPerInstant: number = 1_000_000): Setup {
  const clock = new ManualClock()
  const calls: string[] = []
  const uncaught: unknown[] = []
  const driver = new Driver({
    clock,
    jobs,
    onUncaught: (thrown) => uncaught.push(thrown),
    report: () => `report at ${clock.nowMs()}`,
    maxEventsPerInstant,
  })
  const at = (delayMs: number, name: string, action = (): void => undefined): void => {
    clock.schedule(delayMs, () => {
      calls.push(`${clock.nowMs()} ${name}`)
      action()
    })
  }
  return { driver, clock, calls, uncaught, at }
}
