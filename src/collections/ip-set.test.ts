import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatIp, isMapped, parseIp } from './ip-address.js'
import { IpSet } from './ip-set.js'

const ipv4 = fc.ipV4()
const ipv6 = fc.ipV6()

describe('parseIp', () => {
  test('takes exactly what Node takes for an address, but for zones', () => {
    const likeIp = fc.oneof(
      ipv4,
      ipv6,
      fc.string({ unit: fc.constantFrom(...'0123456789abF:.'), maxLength: 24 }),
    )
    const agrees = fc.property(likeIp, (text) => {
      const bytes = [0, 4, 16][[0, 4, 6].indexOf(isIP(text))]
      assert.equal(parseIp(text)?.length ?? 0, bytes, text)
    })
    fc.assert(agrees, { numRuns: 2_000 })
  })

  test('refuses zones, leading zeros, names and what is too long', () => {
    const bad = ['', 'fe80::1%eth0', '010.0.0.1', '10.0.0.256', '10.0.0', '1.2.3.4.5', 'a.b.c.d']
    bad.push('1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', ':1::2', '1.2.3.4::', '12345::')
    bad.push(`${'0:'.repeat(50)}1`)
    for (const text of bad) assert.equal(parseIp(text), null, text)
  })

  test('is the inverse of formatIp, whose text is the one of RFC 5952', () => {
    for (const [text, formatted] of [
      ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
      ['0:0:0:0:0:0:0:0', '::'],
      ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
      ['1:0:0:2:0:0:3:4', '1::2:0:0:3:4'],
      ['1:2:3:4:5:6:0:8', '1:2:3:4:5:6:0:8'],
      ['::ffff:a00:1', '::ffff:10.0.0.1'],
      ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
      ['10.0.0.1', '10.0.0.1'],
    ] as const) {
      assert.equal(formatIp(parseIp(text)!), formatted)
    }
    const same = fc.property(fc.oneof(ipv4, ipv6), (text) => {
      const bytes = parseIp(text)!
      assert.deepEqual(parseIp(formatIp(bytes)), bytes)
    })
    fc.assert(same)
  })
})

describe('IpSet', () => {
  test('has the addresses of its networks, first and last ones included', () => {
    const set = new IpSet(['10.1.0.0/16', '192.168.0.7', '2001:db8::/33', '10.2.0.0/15'])
    for (const ip of ['10.1.0.0', '10.1.255.255', '10.2.0.0', '10.3.255.255', '192.168.0.7'])
      assert.equal(set.includes(ip), true, ip)
    for (const ip of ['2001:db8::', '2001:db8:7fff:ffff:ffff:ffff:ffff:ffff'])
      assert.equal(set.includes(ip), true, ip)
    for (const ip of ['10.0.255.255', '10.4.0.0', '192.168.0.6', '192.168.0.8', '2001:db8:8000::'])
      assert.equal(set.includes(ip), false, ip)
  })

  test('takes an IPv4 address within IPv6 for the IPv4 address, and the other way round', () => {
    assert.equal(new IpSet(['10.0.0.0/8']).includes('::ffff:10.1.2.3'), true)
    assert.equal(new IpSet(['::ffff:10.0.0.0/104']).includes('10.1.2.3'), true)
    assert.equal(new IpSet(['::ffff:10.0.0.0/104']).includes('11.1.2.3'), false)
  })

  test('has clients of unix sockets only when it says so, and never what is no address', () => {
    assert.equal(new IpSet(['unix:']).includes(''), true)
    assert.equal(new IpSet(['0.0.0.0/0', '::/0']).includes(''), false)
    assert.equal(new IpSet(['0.0.0.0/0', '::/0']).includes('localhost'), false)
  })

  test('refuses what is no network, with the text', () => {
    for (const entry of ['', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/8/8', '/8', 'host']) {
      assert.throws(() => new IpSet([entry]), { code: 'PGR_OPTION_INVALID' }, entry)
    }
  })

  test('agrees with the block list of Node, whatever networks and addresses', () => {
    const network = fc.oneof(
      fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })),
      fc.tuple(ipv6, fc.integer({ min: 0, max: 128 })),
    )
    const agrees = fc.property(
      fc.array(network, { maxLength: 12 }),
      fc.array(fc.oneof(ipv4, ipv6), { maxLength: 12 }),
      (networks, others) => {
        const [list4, list6] = [new BlockList(), new BlockList()]
        // In a list of both, an IPv6 network has IPv4 addresses too.
        for (const [ip, prefix] of networks) {
          if (isIP(ip) === 4) list4.addSubnet(ip, prefix, 'ipv4')
          else list6.addSubnet(ip, prefix, 'ipv6')
        }
        const set = new IpSet(networks.map(([ip, prefix]) => `${ip}/${prefix}`))
        for (const ip of [...others, ...networks.map(([each]) => each)]) {
          // Node does not know an IPv4 network by its IPv6 form.
          if (isMapped(parseIp(ip)!)) continue
          const expected = isIP(ip) === 4 ? list4.check(ip) : list6.check(ip, 'ipv6')
          assert.equal(set.includes(ip), expected, ip)
        }
      },
    )
    fc.assert(agrees, { numRuns: 300 })
  })

  test('merges ten thousand networks that touch into one range', () => {
    const entries = Array.from(
      { length: 10_000 },
      (_, index) => `10.${index >> 8}.${index & 255}.0/24`,
    )
    const set = new IpSet(entries)
    assert.equal(set.includes('10.39.15.255'), true)
    assert.equal(set.includes('10.39.16.0'), false)
    assert.equal(set.includes('9.255.255.255'), false)
  })
})
