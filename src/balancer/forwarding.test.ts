import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HeaderMap } from '../http/index.js'
import { BALANCER_DEFAULTS } from './balancer-settings.js'
import type { ForwardingSettings } from './balancer-settings.js'
import { Forwarding } from './forwarding.js'
import type { ForwardingFacts } from './forwarding.js'

const FACTS: ForwardingFacts = {
  clientIp: '10.1.2.3',
  scheme: 'http',
  host: 'www:81',
  version: '1.1',
}
const SPOOFED: readonly (readonly [string, string])[] = [
  ['X-Forwarded-For', '6.6.6.6'],
  ['x-forwarded-for', '7.7.7.7'],
  ['X-Forwarded-Proto', 'https'],
  ['X-Forwarded-Host', 'evil'],
  ['X-Forwarded-Port', '1'],
  ['X-Real-IP', '6.6.6.6'],
  ['Forwarded', 'for=6.6.6.6'],
  ['Via', '1.1 front'],
]

function applied(
  settings: Partial<ForwardingSettings>,
  facts: Partial<ForwardingFacts> = {},
  fields: readonly (readonly [string, string])[] = SPOOFED,
): Record<string, string> {
  const headers = new HeaderMap()
  for (const [name, value] of fields) headers.append(name, value)
  const forwarding = new Forwarding({ ...BALANCER_DEFAULTS.forwarding, ...settings })
  forwarding.apply(headers, { ...FACTS, ...facts })
  const all = [...headers].map(([name, value]) => [name.toLowerCase(), value])
  assert.equal(new Set(all.map(([name]) => name)).size, all.length, 'each field has one line')
  return Object.fromEntries(all) as Record<string, string>
}

describe('Forwarding', () => {
  test('replaces what an untrusted client claims', () => {
    assert.deepEqual(applied({}), {
      'x-forwarded-for': '10.1.2.3',
      'x-forwarded-host': 'www:81',
      'x-forwarded-proto': 'http',
      via: '1.1 front, 1.1 pingora-ts',
    })
  })

  test('keeps what a trusted proxy says, and adds the proxy itself', () => {
    assert.deepEqual(applied({ trustedProxies: ['10.0.0.0/8'], forwarded: true }), {
      'x-forwarded-for': '6.6.6.6, 7.7.7.7, 10.1.2.3',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil',
      'x-forwarded-port': '1',
      'x-real-ip': '6.6.6.6',
      forwarded: 'for=6.6.6.6, for=10.1.2.3;proto=http;host="www:81"',
      via: '1.1 front, 1.1 pingora-ts',
    })
  })

  test('adds nothing that is switched off, and passes no claim on even so', () => {
    assert.deepEqual(applied({ xForwarded: false, via: false }), { via: '1.1 front' })
  })

  test('writes IPv6 clients and missing facts as the RFC says', () => {
    const settings = { forwarded: true, xForwarded: true, via: false }
    assert.deepEqual(
      applied(settings, { clientIp: '2001:db8::1', host: undefined, scheme: 'https' }, []),
      {
        'x-forwarded-for': '2001:db8::1',
        'x-forwarded-proto': 'https',
        forwarded: 'for="[2001:db8::1]";proto=https',
      },
    )
    assert.equal(
      applied(settings, { clientIp: '' }, [])['forwarded'],
      'for=unknown;proto=http;host="www:81"',
    )
    assert.equal(
      applied(settings, { clientIp: '::ffff:10.1.2.3' }, [])['x-forwarded-for'],
      '10.1.2.3',
    )
    assert.equal(
      applied(settings, { host: 'a"b\\c' }, [])['forwarded'],
      'for=10.1.2.3;proto=http;host="a\\"b\\\\c"',
    )
  })

  test('believes the clients of unix sockets only when told to', () => {
    const claim: readonly (readonly [string, string])[] = [['X-Forwarded-For', '6.6.6.6']]
    const unix = { clientIp: '' }
    assert.equal(applied({}, unix, claim)['x-forwarded-for'], undefined)
    assert.equal(applied({ trustedProxies: ['unix:'] }, unix, claim)['x-forwarded-for'], '6.6.6.6')
  })
})
