import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProxyError } from '../error/index.js'
import { Backend } from './backend.js'
import { BackendSet } from './backend-set.js'
import { HealthMemory } from './health-memory.js'

function setOf(...addresses: string[]): BackendSet {
  return new BackendSet(addresses.map((address) => new Backend(address)))
}

describe('BackendSet', () => {
  test('is in address order: IPv4 and IPv6 by number, unix paths last', () => {
    const ordered = [
      '2.0.0.1:80',
      '10.0.0.1:80',
      '10.0.0.1:443',
      '10.0.0.1:8080',
      '[::1]:80',
      '[2::]:80',
      '[10::1]:80',
      '[10::1:0]:80',
      '[fe80::1%eth0]:80',
      '[fe80::1%eth1]:80',
      'unix:/a',
      'unix:/b',
    ]
    const set = setOf(...ordered.toReversed())
    assert.deepEqual(
      set.backends.map(({ address }) => address),
      ordered,
    )
  })

  test('orders backends with one address by weight, as numbers', () => {
    const weights = [10, 9, 100].map((weight) => new Backend('1.1.1.1:80', { weight }))
    assert.deepEqual(
      new BackendSet(weights).backends.map(({ weight }) => weight),
      [9, 10, 100],
    )
  })

  test('holds each backend once, the first of those that are the same', () => {
    const first = new Backend('[::1]:80', { ext: { first: true } })
    const set = new BackendSet([first, new Backend('[0::1]:80')])
    assert.deepEqual(set.backends, [first])
    assert.equal(set.indexOf(new Backend('[::1]:80')), 0)
    assert.equal(set.indexOf(new Backend('[::1]:81')), -1)
  })

  test('equals a set with the same backends, in whatever order they came', () => {
    assert.ok(setOf('1.1.1.1:80', '1.0.0.1:80').equals(setOf('1.0.0.1:80', '1.1.1.1:80')))
    assert.ok(!setOf('1.1.1.1:80').equals(setOf('1.0.0.1:80')))
    assert.ok(!setOf('1.1.1.1:80').equals(setOf('1.1.1.1:80', '1.0.0.1:80')))
  })

  test('takes weights that add up to 65535 after division, and refuses more', () => {
    const pair = (a: number, b: number): BackendSet =>
      new BackendSet([
        new Backend('1.1.1.1:80', { weight: a }),
        new Backend('1.0.0.1:80', { weight: b }),
      ])
    assert.equal(pair(65_534, 1).backends.length, 2)
    assert.equal(pair(65_534, 32_767).backends.length, 2)
    assert.throws(
      () => pair(65_535, 1),
      (error) => error instanceof ProxyError && error.code === 'PGR_OPTION_INVALID',
    )
  })

  test('refuses more than 65535 backends', () => {
    function* many(): Generator<Backend> {
      for (let n = 0; ; n++) yield new Backend(`10.0.${(n >> 8) & 255}.${n & 255}:${1 + (n >> 16)}`)
    }
    assert.throws(
      () => new BackendSet(many()),
      (error) => error instanceof ProxyError && error.code === 'PGR_OPTION_INVALID',
    )
  })

  test('has the state of those backends that were there before, at the same places', () => {
    const memory = new HealthMemory()
    const backends = ['1.1.1.1:80', '1.1.1.2:80', '1.1.1.3:80'].map((each) => new Backend(each))
    const before = new BackendSet(backends, memory)
    before.health.observe(1, false, 2)
    before.health.setEnabled(2, false)
    const changed = [new Backend('1.1.1.0:80'), ...backends.slice(1)]
    const after = new BackendSet(
      changed,
      memory,
      (backend) => before.placeOf(backend) ?? memory.allot(),
    )
    assert.equal(after.health.observe(1, false, 2), true)
    assert.deepEqual(
      [0, 1, 2].map((index) => [after.health.isHealthy(index), after.health.isEnabled(index)]),
      [
        [true, true],
        [false, true],
        [true, false],
      ],
    )
  })
})
