import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Opt } from './opt.js'
import { Server } from './server.js'
import { ServerConf } from './server-conf.js'
import { ServiceGraph } from './service-graph.js'
import type { ServiceHandle } from './service-graph.js'
import type { Service } from './service.js'

const REFUSED = { code: 'PGR_OPTION_INVALID' } as const

function service(name: string, startsFirst = false): Service {
  return {
    name,
    startsFirst,
    start: () => Promise.reject(new Error(`${name} was started`)),
    stop: () => Promise.resolve(),
    destroy: () => undefined,
  }
}

/** Adds services with the names `a`, `b` … to `graph`. */
function addAll(graph: Pick<ServiceGraph, 'add'>, names: string): ServiceHandle[] {
  return Array.from(names, (name) => graph.add(service(name)))
}

const namesOf = (nodes: readonly ServiceHandle[]): string => nodes.map(({ name }) => name).join('')

describe('ServiceGraph', () => {
  test('orders services by what they depend on, else as they were added', () => {
    const graph = new ServiceGraph()
    const [a, b, c, d] = addAll(graph, 'abcd')
    a!.addDependencies([d!, c!])
    d!.addDependency(b!)
    d!.addDependency(b!)
    assert.equal(namesOf(graph.groups.later), 'bdca')
    assert.equal(namesOf(graph.dependentsFirst), 'adbc')
    assert.deepEqual(
      graph.services.map(({ name }) => name),
      ['a', 'b', 'c', 'd'],
    )
  })

  test('counts what a service that starts first depends on among those that start first', () => {
    const graph = new ServiceGraph()
    const [proxy, discovery, token] = addAll(graph, 'pdt')
    const checks = graph.add(service('c', true))
    checks.addDependency(discovery!)
    discovery!.addDependency(token!)
    proxy!.addDependency(checks)
    const { first, later } = graph.groups
    assert.deepEqual([namesOf(first), namesOf(later)], ['tdc', 'p'])
  })

  test('names the services of a circle in order, and only those', () => {
    const graph = new ServiceGraph()
    const [a, b, c, d] = addAll(graph, 'abcd')
    a!.addDependency(b!)
    b!.addDependency(c!)
    c!.addDependency(d!)
    d!.addDependency(b!)
    assert.throws(
      () => {
        graph.check()
      },
      { ...REFUSED, message: 'services that depend on each other: b -> c -> d -> b' },
    )
  })

  test('refuses a service that was added elsewhere, and any change once it is sealed', () => {
    const graph = new ServiceGraph()
    const [a, b] = addAll(graph, 'ab')
    const [foreign] = addAll(new ServiceGraph(), 'f')
    for (const other of [foreign!, { ...b!, name: 'made up' }]) {
      assert.throws(() => {
        a!.addDependency(other)
      }, REFUSED)
    }
    graph.seal()
    assert.throws(
      () => {
        a!.addDependency(b!)
      },
      { ...REFUSED, message: 'service a: the server runs already' },
    )
    assert.throws(() => graph.add(service('c')), REFUSED)
  })
})

describe('a server with services that depend on each other in a circle', () => {
  function serverOf(opt: Opt): Server {
    const server = new Server(opt, new ServerConf())
    const [a, b] = server.addServices([service('a'), service('b')])
    a!.addDependency(b!)
    b!.addDependency(a!)
    return server
  }

  test('does not start any of them', async () => {
    const message = 'services that depend on each other: a -> b -> a'
    await assert.rejects(serverOf(new Opt()).run(), { ...REFUSED, message })
  })

  test('does not pass -t', async () => {
    const server = serverOf(new Opt({ test: true }))
    await assert.rejects(server.run(), {
      code: 'PGR_CONFIGURATION_INVALID',
      message: 'services that depend on each other: a -> b -> a',
    })
  })
})
