import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatAddress, parseHostAddress, parseSocketAddress } from './address.js'
import type { HostAddress } from './address.js'

describe('addresses', () => {
  const readable: [string, HostAddress][] = [
    ['1.2.3.4:80', { kind: 'ip', host: '1.2.3.4', port: 80 }],
    ['0.0.0.0:0', { kind: 'ip', host: '0.0.0.0', port: 0 }],
    ['[::1]:65535', { kind: 'ip', host: '::1', port: 65535 }],
    ['[::ffff:1.2.3.4]:80', { kind: 'ip', host: '::ffff:1.2.3.4', port: 80 }],
    ['unix:/run/a.sock', { kind: 'unix', path: '/run/a.sock' }],
    ['unix:a b', { kind: 'unix', path: 'a b' }],
    ['localhost:8080', { kind: 'name', host: 'localhost', port: 8080 }],
    [
      'api_v1.Some-Host.example.:443',
      { kind: 'name', host: 'api_v1.Some-Host.example.', port: 443 },
    ],
    ['1password.com:443', { kind: 'name', host: '1password.com', port: 443 }],
  ]
  for (const [text, address] of readable) {
    test(`reads ${text} and writes it back`, () => {
      assert.deepEqual(parseHostAddress(text), address)
      assert.equal(formatAddress(address), text)
    })
  }

  const unreadable: [string, RegExp][] = [
    ['', /expected HOST:PORT/],
    ['1.2.3.4', /expected HOST:PORT/],
    [':80', /expected HOST:PORT/],
    ['host:', /expected HOST:PORT/],
    ['host:65536', /expected HOST:PORT/],
    ['host:-1', /expected HOST:PORT/],
    ['host:8o', /expected HOST:PORT/],
    ['host:000080', /expected HOST:PORT/],
    ['::1:80', /write IPv6 as \[::1\]:80/],
    ['[::1]', /expected HOST:PORT/],
    ['[1.2.3.4]:80', /not an IPv6 address/],
    ['[]:80', /not an IPv6 address/],
    ['256.1.1.1:80', /not a host name or IP address/],
    ['1.2.3:80', /not a host name or IP address/],
    ['a b:80', /not a host name/],
    ['-a:80', /not a host name/],
    ['a..b:80', /not a host name/],
    ['http://a:80', /write IPv6|not a host name/],
    [`${'a'.repeat(64)}:80`, /not a host name/],
    ['unix:', /1 to 107 bytes/],
    ['unix:/a\0b', /1 to 107 bytes/],
    [`unix:/${'\u00e9'.repeat(54)}`, /1 to 107 bytes/],
  ]
  for (const [text, reason] of unreadable) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseHostAddress(text), { code: 'PGR_ADDRESS_INVALID', message: reason })
    })
  }

  test('a socket address is no name', () => {
    assert.deepEqual(parseSocketAddress('1.2.3.4:80').kind, 'ip')
    assert.throws(() => parseSocketAddress('localhost:80'), { code: 'PGR_ADDRESS_INVALID' })
  })

  test('any text is read or refused with a short, escaped reason', () => {
    const total = fc.property(fc.string({ maxLength: 400 }), (text) => {
      try {
        const address = parseHostAddress(text)
        assert.deepEqual(parseHostAddress(formatAddress(address)), address)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'PGR_ADDRESS_INVALID')
        assert.ok((error as Error).message.length < 1_200)
        assert.doesNotMatch((error as Error).message, /[\0\r\n]/)
      }
    })
    fc.assert(total)
  })
})
