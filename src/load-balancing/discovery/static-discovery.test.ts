import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { testWorld } from '../../../test/helpers/test-world.js'
import { ProxyError } from '../../error/index.js'
import { Backend } from '../backend.js'
import { StaticDiscovery } from './static-discovery.js'

function hasCode(code: string, text: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof ProxyError && error.code === code && text.test(error.message)
}

describe('StaticDiscovery', () => {
  test('finds addresses, backends and addresses with a weight', async (t) => {
    const { env } = testWorld(t)
    const resolve = t.mock.method(env.network, 'resolve').mock
    const backend = new Backend('10.0.0.2:80')
    const list = ['10.0.0.1:80', backend, { address: '10.0.0.3:80', weight: 3 }]
    const { backends } = await new StaticDiscovery(list, { env }).discover()
    const found = [...backends]
    assert.deepEqual(
      found.map(({ key }) => key),
      ['10.0.0.1:80 1', '10.0.0.2:80 1', '10.0.0.3:80 3'],
    )
    assert.equal(found[1], backend)
    assert.equal(resolve.callCount(), 0)
  })

  test('finds every address of a name, and looks again at every discovery', async (t) => {
    const names = { 'api.test': ['10.0.0.1', '::1'] }
    const { env } = testWorld(t, { names })
    const list = [{ address: 'api.test:80', weight: 2, ext: { zone: 'a' } }]
    const discovery = new StaticDiscovery(list, { env })
    const first = [...(await discovery.discover()).backends]
    assert.deepEqual(
      first.map(({ key, ext }) => [key, ext]),
      [
        ['10.0.0.1:80 2', { zone: 'a' }],
        ['[::1]:80 2', { zone: 'a' }],
      ],
    )
    names['api.test'] = ['10.0.0.9']
    const second = [...(await discovery.discover()).backends]
    assert.deepEqual(
      second.map(({ address }) => address),
      ['10.0.0.9:80'],
    )
  })

  test('says which name cannot be resolved', async (t) => {
    const { env } = testWorld(t, { names: { 'empty.test': [] } })
    const missing = new StaticDiscovery(['10.0.0.1:80', 'missing.test:80'], { env })
    await assert.rejects(missing.discover(), hasCode('PGR_RESOLVE_FAILED', /missing\.test/))
    const empty = new StaticDiscovery(['empty.test:80'], { env })
    await assert.rejects(empty.discover(), hasCode('PGR_RESOLVE_FAILED', /empty\.test/))
  })

  test('refuses what can never be a backend when it is made', () => {
    assert.throws(
      () => new StaticDiscovery(['nonsense']),
      hasCode('PGR_ADDRESS_INVALID', /nonsense/),
    )
    const weightless = [{ address: 'api.test:80', weight: 0 }]
    assert.throws(() => new StaticDiscovery(weightless), hasCode('PGR_OPTION_INVALID', /weight/))
    assert.throws(() => new StaticDiscovery(['api.test:0']), hasCode('PGR_ADDRESS_INVALID', /port/))
  })
})
