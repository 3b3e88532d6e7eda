import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { ProxyError } from '../error/index.js'
import { Backend } from './backend.js'

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ProxyError && error.code === code
}

describe('Backend', () => {
  test('takes IPv4, IPv6 and unix addresses', () => {
    for (const address of ['1.1.1.1:443', '[::1]:80', 'unix:/run/api.sock']) {
      assert.equal(new Backend(address).address, address)
    }
  })

  test('refuses host names and what is no address', () => {
    for (const address of [
      'example.com:80',
      'localhost:80',
      '1.1.1.1',
      '1.1.1.1:0',
      '::1:80',
      '',
    ]) {
      assert.throws(() => new Backend(address), hasCode('PGR_ADDRESS_INVALID'), address)
    }
  })

  test('refuses weights that are no integer from 1 to 65535', () => {
    for (const weight of [0, -1, 1.5, NaN, 65_536]) {
      assert.throws(() => new Backend('1.1.1.1:80', { weight }), hasCode('PGR_OPTION_INVALID'))
    }
    assert.equal(new Backend('1.1.1.1:80', { weight: 65_535 }).weight, 65_535)
  })

  test('writes every spelling of an address in the same way', () => {
    assert.equal(new Backend('[2001:DB8:0:0::0001]:0443').address, '[2001:db8::1]:443')
    assert.equal(new Backend('[fe80::0:1%eth0]:80').address, '[fe80::1%eth0]:80')
    assert.equal(new Backend('1.1.1.1:080').key, new Backend('1.1.1.1:80').key)
  })

  test('is identified by address and weight, and not by the data of the user', () => {
    const backend = new Backend('1.1.1.1:80', { ext: { zone: 'a' } })
    assert.equal(backend.key, new Backend('1.1.1.1:80').key)
    assert.notEqual(backend.key, new Backend('1.1.1.1:80', { weight: 2 }).key)
    assert.notEqual(backend.key, new Backend('1.1.1.1:81').key)
  })

  test('shows address and weight', () => {
    const backend = new Backend('1.1.1.1:443')
    assert.equal(String(backend), 'Backend { addr: 1.1.1.1:443, weight: 1 }')
    assert.equal(inspect({ backend }), '{ backend: Backend { addr: 1.1.1.1:443, weight: 1 } }')
  })

  test('shows the data of the user when inspected', () => {
    const backend = new Backend('1.1.1.1:443', { weight: 2, ext: { zone: 'a' } })
    assert.equal(inspect(backend), "Backend { addr: 1.1.1.1:443, weight: 2, ext: { zone: 'a' } }")
  })

  test('cannot be changed', () => {
    const backend = new Backend('1.1.1.1:443') as { weight: number }
    assert.throws(() => (backend.weight = 2), TypeError)
  })
})
