import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { HttpPeer } from '../transport/index.js'
import { SimulationFailure, simulate, traceOf } from './simulate.js'
import type { Scenario } from './simulate.js'

const compress = promisify(gzip)

describe('simulate', () => {
  test('runs one world per seed, and sums up', async () => {
    const seeds: number[] = []
    const summary = await simulate({
      seeds: 5,
      from: 10,
      run: async (world) => {
        seeds.push(world.random.seed)
        await world.advance(100)
      },
    })
    assert.deepEqual(seeds, [10, 11, 12, 13, 14])
    assert.deepEqual(summary, { seeds: 5, events: 0, virtualMs: 500 })
  })

  test('names the seed that fails, when it did, its last events, and how to repeat it', async () => {
    const simulation = simulate({
      seeds: 100,
      run: async (world) => {
        await world.advance(world.random.seed)
        world.note('just before')
        if (world.random.seed === 7) throw new Error('an invariant\nmore of it')
      },
      replay: (seed) => `npm run simulate -- --seed ${seed}`,
    })
    const failure = await failureOf(simulation)
    assert.equal(failure.seed, 7)
    assert.equal(failure.atMs, 7)
    assert.deepEqual(failure.trace, ['7 just before'])
    assert.equal(failure.replay, 'npm run simulate -- --seed 7')
    assert.equal((failure.cause as Error).message, 'an invariant\nmore of it')
    assert.deepEqual(failure.message.split('\n'), [
      'seed 7 failed at 7 ms: an invariant',
      'run it again: npm run simulate -- --seed 7',
      'last 1 of 1 events:',
      '  7 just before',
    ])
  })

  test('says so when a seed fails only once', async () => {
    let runs = 0
    const simulation = simulate({
      seeds: 1,
      run: () => (runs++ === 0 ? Promise.reject(new Error('by chance')) : Promise.resolve()),
    })
    const failure = await failureOf(simulation)
    assert.match(
      failure.message,
      /by chance \(but not in a second run: it uses more than the seed, or jobs/,
    )
    assert.match(String((failure.cause as Error).cause), /by chance/)
  })

  test('fails a world in which something is left open', async () => {
    const run: Scenario = async (world) => {
      world.env.clock.schedule(1_000, () => undefined)
      await world.idle()
    }
    const failure = await failureOf(simulate({ seeds: 1, run }))
    assert.match(failure.message, /left over: a timer due at 1000 ms/)
  })

  test('fails a world in which something is thrown that nobody catches', async () => {
    const run: Scenario = async (world) => {
      world.env.clock.schedule(5, () => {
        throw new Error('of a timer')
      })
      await world.advance(10)
    }
    const failure = await failureOf(simulate({ seeds: 1, run }))
    assert.match(failure.message, /thrown and not caught: .*of a timer/)
  })

  test('fails a world whose script failed without anybody waiting', async () => {
    const run: Scenario = (world) => {
      world.fail(new Error('of a script'))
      return Promise.resolve()
    }
    const failure = await failureOf(simulate({ seeds: 1, run }))
    assert.match(failure.message, /of a script/)
  })

  test('runs only the seed of the environment variable, if there is one', async (t) => {
    t.after(() => {
      delete process.env['PINGORA_SEED']
    })
    process.env['PINGORA_SEED'] = '4711'
    const seeds: number[] = []
    const run: Scenario = (world) => {
      seeds.push(world.random.seed)
      return Promise.resolve()
    }
    await simulate({ seeds: 3, run })
    assert.deepEqual(seeds, [4711])
    process.env['PINGORA_SEED'] = 'seven'
    await assert.rejects(simulate({ seeds: 3, run }), { code: 'PGR_OPTION_INVALID' })
    process.env['PINGORA_SEED'] = ''
    await simulate({ seeds: 1, run })
    assert.deepEqual(seeds, [4711, 1])
  })

  test('refuses numbers of seeds that are none', async () => {
    const run: Scenario = () => Promise.resolve()
    for (const range of [{ seeds: 0 }, { seeds: 1, from: -1 }, { seeds: 2, from: 2 ** 32 - 1 }]) {
      await assert.rejects(simulate({ ...range, run }), { code: 'PGR_OPTION_INVALID' })
    }
  })

  test('one seed gives the same trace twice, another seed another', async () => {
    const [first, second, other] = [
      await traceOf(3, busyScenario),
      await traceOf(3, busyScenario),
      await traceOf(4, busyScenario),
    ]
    assert.ok(first.length > 100, `${first.length}`)
    assert.deepEqual(second, first)
    assert.notDeepEqual(other, first)
  })

  test('how long a job outside of JavaScript takes does not change what happens', async () => {
    let size = 0
    const run: Scenario = async (world) => {
      for (const address of ['10.0.0.1:80', '10.0.0.2:80']) world.upstream(address)
      let turn = 0
      const proxy = await world.proxy({
        newCtx: () => undefined,
        requestFilter: async (session) => {
          if (session.reqHeader.path !== '/plain') await compress(randomBytes(size))
        },
        upstreamPeer: () => new HttpPeer(`10.0.0.${(turn++ % 2) + 1}:80`),
      })
      await Promise.all(['/', '/plain', '/plain'].map((path) => proxy.get(path)))
    }
    const traces = new Set<string>()
    for (size of [1, 1_000, 10_000, 100_000, 1_000_000]) {
      traces.add((await traceOf(1, run, { countsJobs: true })).join('\n'))
    }
    assert.equal(traces.size, 1)
  })

  test('names the command of its own process by default', async () => {
    const fails = simulate({ seeds: 1, from: 3, run: () => Promise.reject(new Error('always')) })
    await assert.rejects(fails, /run it again: PINGORA_SEED=3 node .*simulate\.test\.js/)
  })

  test('a trace does not depend on what was run before', async () => {
    const first = await traceOf(9, busyScenario)
    await simulate({ seeds: 3, run: busyScenario })
    assert.deepEqual(await traceOf(9, busyScenario), first)
  })

  test('gives no trace of a run that fails', async () => {
    const failing = traceOf(1, () => Promise.reject(new Error('no trace')))
    assert.match((await failureOf(failing)).message, /seed 1 failed at 0 ms: no trace/)
  })
})

/** Several clients at chance times, over links that split and delay, with upstreams that come and go. */
const busyScenario: Scenario = async (world) => {
  const { random } = world
  const addresses = ['10.0.0.1:80', '10.0.0.2:80']
  const link = { split: 'random', latencyMs: random.int(0, 20) } as const
  const upstreams = addresses.map((address) => {
    world.network.setLink(address, link)
    return world.upstream(address)
  })
  const upstreamPeer = (): HttpPeer =>
    new HttpPeer(world.env.random.next() < 0.5 ? '10.0.0.1:80' : '10.0.0.2:80')
  const proxy = await world.proxy({ newCtx: () => {}, upstreamPeer })
  const clients = Array.from({ length: 10 }, async () => {
    await world.sleep(random.int(0, 1_000))
    await proxy.get('/')
  })
  const faults = async (): Promise<void> => {
    await world.sleep(random.int(0, 500))
    upstreams[0]!.down()
    await world.sleep(random.int(0, 500))
    upstreams[0]!.up()
  }
  await world.run(Promise.all([...clients, faults()]))
}

async function failureOf(running: Promise<unknown>): Promise<SimulationFailure> {
  try {
    await running
  } catch (thrown) {
    assert.ok(thrown instanceof SimulationFailure, String(thrown))
    return thrown
  }
  return assert.fail('nothing failed')
}
