import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { createBalancer, readBalancer } from '../../src/balancer/index.js'
import { ConfigDocument } from '../../src/configuration/index.js'
import { Server } from '../../src/server/index.js'
import { reply } from '../../src/testing/index.js'
import type { Exchange, ScriptedUpstream, TestRequest, TestWorld } from '../../src/testing/index.js'
import { testWorld } from '../helpers/test-world.js'

/** A balancer in a world of its own, with the backends that there are. */
interface Running {
  readonly world: TestWorld
  readonly good: ScriptedUpstream
  readonly bad: ScriptedUpstream
  /** Makes requests one after another, each on a connection of its own, and returns what came. */
  readonly ask: (...requests: TestRequest[]) => Promise<Exchange[]>
}

/** Answers `good` to everything. */
const GOOD = '10.0.0.1:80'
/** Resets every connection as soon as a request has come. */
const BAD = '10.0.0.2:80'
/** Nobody listens there. */
const NOWHERE = '10.0.0.3:80'
const LISTENS = '10.0.0.254:80'

async function startBalancer(
  t: TestContext,
  backends: readonly string[],
  more = '',
  topLevel = '',
): Promise<Running> {
  const { conf, settings } = readBalancer(new ConfigDocument(yamlOf(backends, more, topLevel)))
  const world = testWorld(t)
  const good = world.upstream(GOOD, { answer: reply(200, 'good') })
  const bad = world.upstream(BAD, { answer: reply.reset() })
  const services = await world.run(createBalancer(conf, settings, { env: world.env }))
  await world.serve(services, conf)
  const ask = async (...requests: TestRequest[]): Promise<Exchange[]> => {
    const exchanges: Exchange[] = []
    for (const request of requests) {
      const client = await world.client(LISTENS)
      exchanges.push(await client.request(request))
      await client.close()
    }
    return exchanges
  }
  return { world, good, bad, ask }
}

/** A configuration file. */
function yamlOf(backends: readonly string[], more = '', topLevel = ''): string {
  const list = backends.map((address) => `{ address: '${address}' }`).join(', ')
  return [
    `listeners: [{ address: '${LISTENS}' }]`,
    `upstreams: { app: { backends: [${list}] ${more} } }`,
    topLevel,
  ].join('\n')
}

const GET: TestRequest = {}
const POST: TestRequest = { method: 'POST', body: 'body' }
const PUT: TestRequest = { method: 'PUT', body: 'body' }

function statuses(exchanges: readonly Exchange[]): number[] {
  return exchanges.map(({ status }) => status)
}

describe('the balancer', () => {
  for (const other of [NOWHERE, BAD]) {
    test(`sends each request that a backend refuses or resets to the other one (${other})`, async (t) => {
      const { good, bad, ask } = await startBalancer(t, [GOOD, other])
      for (const { text } of await ask(GET, GET, GET, GET)) assert.equal(text, 'good')
      assert.equal(good.requests.length, 4)
      assert.equal(bad.requests.length > 0, other === BAD)
    })
  }

  test('repeats no request that is not idempotent once it was sent', async (t) => {
    const { good, bad, ask } = await startBalancer(t, [GOOD, BAD])
    assert.deepEqual(statuses(await ask(POST, POST)).sort(), [200, 502])
    assert.deepEqual([good.requests.length, bad.requests.length], [1, 1])
    const refused = await startBalancer(t, [GOOD, NOWHERE])
    assert.deepEqual(statuses(await refused.ask(POST, POST)), [200, 200])
  })

  test('gives up after max retries, and retries nothing that is not asked for', async (t) => {
    const { world, ask } = await startBalancer(t, [NOWHERE], ', retries: { max: 3 }')
    assert.deepEqual(statuses(await ask(GET)), [502])
    assert.equal(world.counters.get('attempts'), 4)
    const strict = await startBalancer(t, [GOOD, NOWHERE], ', retries: { on: [] }')
    assert.deepEqual(statuses(await strict.ask(GET, GET)).sort(), [200, 502])
  })

  test('answers 503 while the health check finds no backend alive', async (t) => {
    const { good, world, ask } = await startBalancer(t, [GOOD], ', health_check: { type: tcp }')
    good.down()
    await world.advance(1_000)
    assert.deepEqual(statuses(await ask(GET)), [503])
    good.up()
    await world.advance(1_000)
    assert.deepEqual(statuses(await ask(GET)), [200])
  })

  test('has checked its backends before it listens', async (t) => {
    const { world, ask } = await startBalancer(t, [NOWHERE], ', health_check: { type: tcp }')
    assert.equal(world.clock.nowMs(), 0)
    assert.deepEqual(statuses(await ask(GET)), [503])
  })

  test('refuses what is over the limits of the file', async (t) => {
    const limits = 'limits: { request_line: 40, headers: 100, header_count: 4 }'
    const { ask } = await startBalancer(t, [GOOD], '', limits)
    const answers = await ask(
      // With Host these are four.
      { headers: { a: '1', b: '2', c: '3' } },
      { headers: { a: '1', b: '2', c: '3', d: '4' } },
      { headers: { a: 'x'.repeat(100) } },
      { path: `/${'x'.repeat(40)}` },
    )
    assert.deepEqual(statuses(answers), [200, 431, 431, 414])
  })

  test('repeats no request whose body does not fit into the retry buffer of the file', async (t) => {
    const large = await startBalancer(t, [GOOD, BAD])
    assert.deepEqual(statuses(await large.ask(PUT, PUT)), [200, 200])
    const none = await startBalancer(t, [GOOD, BAD], '', 'limits: { retry_buffer: 0 }')
    assert.deepEqual(statuses(await none.ask(PUT, PUT)).sort(), [200, 502])
  })

  test('ends the wait for a head or a body after the time of the file', async (t) => {
    const times = 'client_timeouts: { header: 50ms, body: 100ms }'
    const { world, ask } = await startBalancer(t, [GOOD], '', times)
    const client = await world.client(LISTENS)
    await client.peer.untilEnded(50)
    assert.deepEqual([client.peer.text, world.clock.nowMs()], ['', 50])
    const begun = 'GET / HTTP/1.1\r\n'
    const unfinished = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab'
    const answers = await ask({ raw: begun }, { raw: unfinished })
    assert.deepEqual(
      answers.map(({ status, tookMs }) => [status, tookMs]),
      [
        [408, 50],
        [408, 100],
      ],
    )
  })

  test('answers a client that has ended its direction where the file says so', async (t) => {
    const { world } = await startBalancer(t, [GOOD], '', 'abort_on_close: false')
    const client = await world.client(LISTENS)
    client.peer.end('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await client.exchange()).text, 'good')
  })

  test('ends a request of a client that has ended its direction where the file says nothing', async (t) => {
    const { world, good } = await startBalancer(t, [GOOD])
    good.answer(reply(200, 'good').after(10))
    const client = await world.client(LISTENS)
    client.peer.end('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await client.exchange()).status, 0)
  })

  test('leaves no handler in the process when it has stopped', async (t) => {
    const { env, logger } = testWorld(t)
    const count = (): number[] => PROCESS_EVENTS.map((event) => process.listenerCount(event))
    const before = count()
    const { conf, settings } = readBalancer(new ConfigDocument(yamlOf([GOOD])))
    const server = new Server(null, conf, { env, logger })
    server.addServices(await createBalancer(conf, settings, { env }))
    let during = before
    const onReady = (): void => {
      during = count()
      server.stop()
    }
    await server.run({ onReady })
    assert.notDeepEqual(during, before)
    assert.deepEqual(count(), before)
  })
})

/** What a server of this process listens for. */
const PROCESS_EVENTS = [
  'SIGTERM',
  'SIGINT',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'uncaughtException',
] as const
