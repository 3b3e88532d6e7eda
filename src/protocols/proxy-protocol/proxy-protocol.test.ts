import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ProxyError } from '../../error/index.js'
import { bytes, cutAt, forEachSplit } from '../../../test/helpers/splits.js'
import { crc32c } from './crc32c.js'
import {
  MAX_PROXY_HEADER_BYTES,
  ProxyHeaderReader,
  TLV,
  findTlv,
  tlsTlv,
  tlvText,
  writeProxyHeader,
} from './index.js'
import type { ProxyHeader, ProxyHeaderParts } from './index.js'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const REST = bytes('GET / HTTP/1.1\r\n')

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const v2 = (versionAndFamily: string, block: Buffer): Buffer =>
  Buffer.concat([hex(SIGNATURE + versionAndFamily), length(block.length), block])
const length = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff)
const tlv = (type: number, value: Buffer | string): Buffer =>
  Buffer.concat([Buffer.of(type), length(Buffer.from(value).length), Buffer.from(value)])
const ip = (host: string, port: number) => ({ kind: 'ip', host, port }) as const

const IPV4_BLOCK = hex('c0000201 c6336402 d903 01bb')
const IPV4_ENDS = [ip('192.0.2.1', 55_555), ip('198.51.100.2', 443)]
const IPV6_BLOCK = hex(`20010db8${'00'.repeat(11)}01 20010db8${'00'.repeat(11)}02 d903 01bb`)
const IPV6_ENDS = [ip('2001:db8::1', 55_555), ip('2001:db8::2', 443)]

interface Outcome {
  readonly header: ProxyHeader | null
  readonly error: string
  /** Bytes behind the header. */
  readonly rest: string
}

/** What a reader makes of the bytes, cut like this. */
function readPieces(pieces: readonly Buffer[]): Outcome {
  const reader = new ProxyHeaderReader()
  let header: ProxyHeader | null = null
  const rest: Buffer[] = []
  for (const piece of pieces) {
    try {
      // Not from 0, as pieces of a larger read are not.
      const buffer = Buffer.concat([Buffer.from('x'), piece, Buffer.from('y')])
      const to = buffer.length - 1
      header ??= reader.read(buffer, 1, to)
      const next = rest.length === 0 && reader.next <= to ? reader.next : 1
      if (header !== null) rest.push(Buffer.from(buffer.subarray(next, to)))
    } catch (thrown) {
      if (!(thrown instanceof ProxyError)) throw thrown
      return { header: null, error: `${thrown.code} ${thrown.message}`, rest: '' }
    }
  }
  return { header, error: '', rest: Buffer.concat(rest).toString('latin1') }
}

/** The header that `input` is, however it is cut, with what follows it left over. */
function read(input: Buffer): ProxyHeader {
  let header: ProxyHeader | null = null
  forEachSplit(Buffer.concat([input, REST]), (pieces, how) => {
    const outcome = readPieces(pieces)
    assert.equal(outcome.error, '', how)
    assert.equal(outcome.rest, REST.toString(), how)
    header ??= outcome.header
    assert.deepEqual(outcome.header, header, how)
  })
  assert.ok(header)
  return header
}

/** Why `input` is refused, however it is cut. */
function refusal(input: Buffer): string {
  let error = ''
  forEachSplit(input, (pieces, how) => {
    const outcome = readPieces(pieces)
    error ||= outcome.error
    assert.equal(outcome.error, error, how)
  })
  assert.match(error, /^PGR_PROXY_HEADER_INVALID PROXY header: /)
  return error.slice('PGR_PROXY_HEADER_INVALID PROXY header: '.length)
}

const endsOf = ({ source, destination }: ProxyHeader): unknown[] => [source, destination]

describe('PROXY protocol version 1', () => {
  const good: readonly (readonly [line: string, ends: readonly unknown[]])[] = [
    ['PROXY TCP4 192.0.2.1 198.51.100.2 55555 443', IPV4_ENDS],
    ['PROXY TCP6 2001:DB8::1 2001:db8::2 55555 443', IPV6_ENDS],
    ['PROXY TCP6 ::ffff:10.0.0.1 ::1 0 65535', [ip('::ffff:10.0.0.1', 0), ip('::1', 65_535)]],
    ['PROXY UNKNOWN', [null, null]],
    ['PROXY UNKNOWN ffff::1 whatever 1 2 3', [null, null]],
  ]

  for (const [line, ends] of good) {
    test(`reads ${line}`, () => {
      const header = read(bytes(`${line}\r\n`))
      assert.deepEqual(endsOf(header), ends)
      assert.deepEqual([header.version, header.command, header.tlvs], [1, 'proxy', []])
    })
  }

  const bad: readonly (readonly [text: string, why: RegExp])[] = [
    ['GET / HTTP/1.1\r\n', /there is none/],
    ['\x16\x03\x01', /there is none/],
    ['proxy TCP4 192.0.2.1 198.51.100.2 55555 443\r\n', /there is none/],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 55555 443\n', /CR LF/],
    ['PROXY TCP4 192.0.2.1  198.51.100.2 55555 443\r\n', /line is malformed/],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 55555 443 \r\n', /line is malformed/],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 55555\r\n', /line is malformed/],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 055555 443\r\n', /line is malformed/],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n', /line is malformed/],
    ['PROXY UNKNOWNS\r\n', /line is malformed/],
    ['PROXY UDP4 192.0.2.1 198.51.100.2 55555 443\r\n', /line is malformed/],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n', /address is malformed/],
    ['PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n', /address is malformed/],
    ['PROXY TCP4 ::1 198.51.100.2 1 443\r\n', /address is malformed/],
    ['PROXY TCP6 ::1 198.51.100.2 1 443\r\n', /address is malformed/],
    ['PROXY TCP6 fe80::1%lo ::1 1 443\r\n', /address is malformed/],
    [`PROXY UNKNOWN ${'x'.repeat(100)}`, /line is too long/],
    [`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`, /line is too long/],
  ]

  for (const [text, why] of bad) {
    test(`refuses ${JSON.stringify(text.slice(0, 60))}`, () => {
      assert.match(refusal(bytes(text)), why)
    })
  }

  test('takes a line of 107 bytes, and no longer one', () => {
    const line = `PROXY UNKNOWN ${'x'.repeat(91)}\r\n`
    assert.equal(line.length, 107)
    assert.equal(read(bytes(line)).source, null)
  })
})

describe('PROXY protocol version 2', () => {
  const good: readonly (readonly [name: string, input: Buffer, ends: readonly unknown[]])[] = [
    ['TCP over IPv4', v2('2111', IPV4_BLOCK), IPV4_ENDS],
    ['UDP over IPv4', v2('2112', IPV4_BLOCK), IPV4_ENDS],
    ['TCP over IPv6', v2('2121', IPV6_BLOCK), IPV6_ENDS],
    ['UDP over IPv6', v2('2122', IPV6_BLOCK), IPV6_ENDS],
    [
      'unix sockets',
      v2('2131', Buffer.concat([bytes('/run/a.sock'), Buffer.alloc(97), Buffer.alloc(108, 'b')])),
      [
        { kind: 'unix', path: '/run/a.sock' },
        { kind: 'unix', path: 'b'.repeat(108) },
      ],
    ],
    [
      'unix sockets without a name and with an abstract one',
      v2('2131', Buffer.concat([Buffer.alloc(108), bytes('\0abstract'), Buffer.alloc(99)])),
      [
        { kind: 'unix', path: '' },
        { kind: 'unix', path: '\0abstract' },
      ],
    ],
    ['an unknown protocol', v2('2100', Buffer.alloc(0)), [null, null]],
  ]

  for (const [name, input, ends] of good) {
    test(`reads ${name}`, () => {
      const header = read(input)
      assert.deepEqual(endsOf(header), ends)
      assert.deepEqual([header.version, header.command], [2, 'proxy'])
    })
  }

  test('knows streams from datagrams', () => {
    const kinds = ['2121', '2122', '2100'].map(
      (kind) => read(v2(kind, kind === '2100' ? Buffer.alloc(0) : IPV6_BLOCK)).transport,
    )
    assert.deepEqual(kinds, ['stream', 'datagram', 'unspecified'])
  })

  test('throws away all that comes with LOCAL, which speaks for the sender', () => {
    for (const family of ['2000', '2011', '20ff']) {
      const header = read(v2(family, Buffer.concat([IPV4_BLOCK, bytes('anything')])))
      assert.deepEqual([header.command, ...endsOf(header), header.tlvs], ['local', null, null, []])
    }
  })

  test('keeps all fields, in order, those without a meaning too', () => {
    const fields = [tlv(TLV.NOOP, Buffer.alloc(3)), tlv(0xea, 'vpce-1'), tlv(TLV.NETNS, 'blue')]
    const block = [IPV4_BLOCK, tlv(TLV.ALPN, 'h2'), tlv(TLV.AUTHORITY, 'a.example'), ...fields]
    const { tlvs } = read(v2('2111', Buffer.concat(block)))
    assert.deepEqual(
      tlvs.map(({ type, value }) => [type, Buffer.from(value).toString()]),
      [
        [TLV.ALPN, 'h2'],
        [TLV.AUTHORITY, 'a.example'],
        [TLV.NOOP, '\0\0\0'],
        [0xea, 'vpce-1'],
        [TLV.NETNS, 'blue'],
      ],
    )
    assert.equal(tlvText(tlvs, TLV.AUTHORITY), 'a.example')
    assert.equal(findTlv(tlvs, TLV.UNIQUE_ID), undefined)
  })

  test('reads what is said about TLS', () => {
    const within = [tlv(TLV.SSL_VERSION, 'TLSv1.3'), tlv(TLV.SSL_CN, 'client')]
    const ssl = (flags: number, verify: number): Buffer =>
      tlv(TLV.SSL, Buffer.concat([Buffer.of(flags, 0, 0, 0, verify), ...within]))
    const tls = (flags: number, verify: number) =>
      read(v2('2111', Buffer.concat([IPV4_BLOCK, ssl(flags, verify)]))).tls!
    const facts = (flags: number, verify: number) => {
      const { connected, clientCert, verified } = tls(flags, verify)
      return [connected, clientCert, verified]
    }
    assert.deepEqual(facts(1, 0), [true, false, false])
    assert.deepEqual(facts(3, 0), [true, true, true])
    assert.deepEqual(facts(5, 0), [true, true, true])
    assert.deepEqual(facts(3, 1), [true, true, false])
    assert.deepEqual(facts(0, 0), [false, false, false])
    assert.equal(tlvText(tls(1, 0).tlvs, TLV.SSL_VERSION), 'TLSv1.3')
    assert.equal(read(v2('2111', IPV4_BLOCK)).tls, null)
  })

  test('checks the checksum', () => {
    const parts = { ...PARTS, tlvs: [{ type: TLV.AUTHORITY, value: bytes('a.example') }] }
    const good = writeProxyHeader(parts, { checksum: true })
    assert.equal(read(good).tlvs.length, 2)
    const bad = Buffer.from(good)
    bad[20]! ^= 1
    assert.match(refusal(bad), /checksum is wrong/)
    const short = Buffer.concat([IPV4_BLOCK, tlv(TLV.CRC32C, 'abc')])
    assert.match(refusal(v2('2111', short)), /checksum has not four bytes/)
  })

  test('computes the checksum of RFC 3720', () => {
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43)
    assert.equal(crc32c(bytes('123456789')), 0xe3069283)
  })

  const bad: readonly (readonly [name: string, input: Buffer, why: RegExp])[] = [
    ['version 3', v2('3111', IPV4_BLOCK), /version or the command/],
    ['an unknown command', v2('2211', IPV4_BLOCK), /version or the command/],
    ['an unknown family', v2('2141', IPV4_BLOCK), /address family/],
    ['a family without its transport', v2('2110', IPV4_BLOCK), /address family/],
    ['addresses that are cut off', v2('2111', IPV4_BLOCK.subarray(1)), /addresses are cut off/],
    ['a field without its length', v2('2111', Buffer.concat([IPV4_BLOCK, hex('0100')])), /field/],
    [
      'a field that is too long',
      v2('2111', Buffer.concat([IPV4_BLOCK, hex('01000461')])),
      /field is longer than the header/,
    ],
    [
      'a field about TLS that is too short',
      v2('2111', Buffer.concat([IPV4_BLOCK, tlv(TLV.SSL, '1234')])),
      /about TLS is too short/,
    ],
    [
      'a field within the one about TLS that is too long',
      v2('2111', Buffer.concat([IPV4_BLOCK, tlv(TLV.SSL, hex('0100000000 21 00ff'))])),
      /field is longer than the header/,
    ],
    [
      'a unique id of more than 128 bytes',
      v2('2111', Buffer.concat([IPV4_BLOCK, tlv(TLV.UNIQUE_ID, 'x'.repeat(129))])),
      /unique id/,
    ],
    ['a broken signature', hex('0d0a0d0a000d0a51554954 20'), /there is none/],
    ['an empty line', bytes('\r\n\r\nGET'), /there is none/],
  ]

  for (const [name, input, why] of bad) {
    test(`refuses ${name}`, () => {
      assert.match(refusal(input), why)
    })
  }

  test('refuses a header over the limit by its head, before the rest has come', () => {
    const block = (size: number) => Buffer.concat([IPV4_BLOCK, tlv(0xe0, Buffer.alloc(size))])
    const most = MAX_PROXY_HEADER_BYTES - 16 - 12 - 3
    const largest = readPieces([v2('2111', block(most)), REST])
    assert.equal(largest.header?.tlvs[0]?.value.length, most)
    assert.equal(largest.rest, REST.toString())
    const head = v2('2111', block(most + 1)).subarray(0, 16)
    assert.match(refusal(head), /longer than 4096 bytes/)
  })
})

const PARTS: ProxyHeaderParts = {
  version: 2,
  command: 'proxy',
  transport: 'stream',
  source: ip('192.0.2.1', 55_555),
  destination: ip('198.51.100.2', 443),
  tlvs: [],
}

describe('writing a PROXY header', () => {
  const written = (parts: Partial<ProxyHeaderParts>): string =>
    writeProxyHeader({ ...PARTS, ...parts }).toString('latin1')

  test('gives the bytes of the specification', () => {
    assert.equal(written({ version: 1 }), 'PROXY TCP4 192.0.2.1 198.51.100.2 55555 443\r\n')
    const ends = { source: ip('2001:db8::1', 1), destination: ip('::1', 2) }
    assert.equal(written({ version: 1, ...ends }), 'PROXY TCP6 2001:db8::1 ::1 1 2\r\n')
    assert.equal(written({}), v2('2111', IPV4_BLOCK).toString('latin1'))
    assert.equal(written({ command: 'local' }), v2('2000', Buffer.alloc(0)).toString('latin1'))
  })

  test('says that it does not know what it cannot say', () => {
    const unknown = 'PROXY UNKNOWN\r\n'
    const unix = { kind: 'unix', path: '/run/a' } as const
    assert.equal(written({ version: 1, command: 'local' }), unknown)
    assert.equal(written({ version: 1, source: null }), unknown)
    assert.equal(written({ version: 1, source: unix, destination: unix }), unknown)
    assert.equal(written({ version: 1, source: ip('::1', 1) }), unknown)
    const nothing = v2('2100', Buffer.alloc(0)).toString('latin1')
    assert.equal(written({ source: ip('::1', 1) }), nothing)
    assert.equal(written({ source: unix }), nothing)
  })

  test('refuses what is no address, and what gets too long', () => {
    const code = { code: 'PGR_OPTION_INVALID' }
    assert.throws(() => written({ source: ip('localhost', 1) }), code)
    const path = { kind: 'unix', path: 'x'.repeat(108) } as const
    assert.throws(() => written({ source: path, destination: path }), code)
    const tlvs = [{ type: 0xe0, value: Buffer.alloc(MAX_PROXY_HEADER_BYTES) }]
    assert.throws(() => written({ tlvs }), code)
  })

  test('is undone by reading, however the bytes are cut', () => {
    const end = fc.record({
      kind: fc.constant('ip' as const),
      host: fc.ipV4(),
      port: fc.nat(65_535),
    })
    const end6 = fc.record({
      kind: fc.constant('ip' as const),
      // Written in the one form that is read back.
      host: fc.constantFrom('::1', '2001:db8::1', 'fe80::1:2', '1:2:3:4:5:6:7:8'),
      port: fc.nat(65_535),
    })
    const path = fc.record({
      kind: fc.constant('unix' as const),
      path: fc.string({ unit: fc.constantFrom(...'/ab.é'), maxLength: 50 }),
    })
    const ends = fc.oneof(fc.tuple(end, end), fc.tuple(end6, end6), fc.tuple(path, path))
    const value = fc.uint8Array({ maxLength: 40 })
    const type = fc.integer({ min: 0xe0, max: 0xef })
    const fields = fc.array(fc.record({ type, value }, { noNullPrototype: true }), { maxLength: 5 })
    const cuts = fc.array(fc.nat(1_000), { maxLength: 6 })
    const roundTrip = fc.property(ends, fields, fc.boolean(), cuts, (both, tlvs, checksum, at) => {
      const [source, destination] = both
      const parts = { ...PARTS, source, destination, tlvs }
      const input = Buffer.concat([writeProxyHeader(parts, { checksum }), REST])
      const { header, rest, error } = readPieces(cutAt(input, at))
      assert.equal(error, '')
      assert.equal(rest, REST.toString())
      assert.deepEqual([header?.source, header?.destination], [{ ...source }, { ...destination }])
      const kept = header?.tlvs.slice(0, tlvs.length)
      assert.deepEqual(
        kept?.map((each) => ({ ...each, value: Uint8Array.from(each.value) })),
        tlvs,
      )
    })
    fc.assert(roundTrip)
  })

  test('carries what is known of TLS', () => {
    const tls = { connected: true, clientCert: true, verified: false, tlvs: [] }
    const header = read(writeProxyHeader({ ...PARTS, tlvs: [tlsTlv(tls)] }))
    assert.deepEqual(header.tls, tls)
  })
})
