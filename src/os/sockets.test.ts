import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { loadLibc } from './libc.js'
import { Sockets } from './sockets.js'
import type { SocketName } from './sockets.js'

const libc = loadLibc()
const LOOPBACK = { kind: 'ip', host: '127.0.0.1', port: 0 } as const

describe('Sockets', { skip: libc === null && 'no libc here' }, () => {
  const sockets = new Sockets(libc!)

  function open(t: TestContext, name: SocketName): number {
    const fd = sockets.open(name)
    assert.ok(fd >= 0)
    t.after(() => {
      sockets.close(fd)
    })
    return fd
  }

  test('tells the end that was bound, IPv4 and IPv6', (t) => {
    for (const host of ['127.0.0.1', '127.1.2.3', '::1']) {
      const name = { kind: 'ip', host, port: 0 } as const
      const fd = open(t, name)
      assert.deepEqual(sockets.localEnd(fd), [host === '::1' ? '::' : '0.0.0.0', 0])
      assert.equal(sockets.bind(fd, name), 0)
      const [bound, port] = sockets.localEnd(fd)
      assert.equal(bound, host)
      assert.ok(port > 0)
      assert.deepEqual(sockets.peerEnd(fd), ['', 0])
    }
  })

  test('shows an IPv4 address in an IPv6 socket as one', (t) => {
    const fd = open(t, { kind: 'ip', host: '::1', port: 0 })
    assert.equal(sockets.bind(fd, { kind: 'ip', host: '::ffff:127.0.0.1', port: 0 }), 0)
    assert.equal(sockets.localEnd(fd)[0], '::ffff:127.0.0.1')
  })

  test('writes socket addresses as the kernel reads them', () => {
    const v4 = sockets.address({ kind: 'ip', host: '10.1.2.3', port: 0x1234 })
    assert.ok(typeof v4 === 'object')
    assert.equal(v4.memory.bytes.toString('hex', 0, v4.length), '020012340a0102030000000000000000')
    const v6 = sockets.address({ kind: 'ip', host: 'fe80::1%lo', port: 80 })
    assert.ok(typeof v6 === 'object')
    const hex = '0a00005000000000fe80000000000000000000000000000101000000'
    assert.equal(v6.memory.bytes.toString('hex', 0, v6.length), hex)
    const unix = sockets.address({ kind: 'unix', path: '/é' })
    assert.ok(typeof unix === 'object')
    assert.equal(unix.memory.bytes.toString('hex', 0, unix.length), '01002fc3a900')
  })

  test('returns a negative errno for what is no address', () => {
    const { EINVAL, ENAMETOOLONG } = constants.errno
    assert.equal(sockets.address({ kind: 'ip', host: 'eth0', port: 0 }), -EINVAL)
    assert.equal(sockets.address({ kind: 'unix', path: 'x'.repeat(108) }), -ENAMETOOLONG)
  })

  test('returns a negative errno where a call fails', (t) => {
    const { EADDRINUSE, EBADF, ENOTCONN } = constants.errno
    const first = open(t, LOOPBACK)
    assert.equal(sockets.bind(first, LOOPBACK), 0)
    assert.equal(sockets.listen(first, 1), 0)
    const taken = { ...LOOPBACK, port: sockets.localEnd(first)[1] }
    assert.equal(sockets.bind(open(t, LOOPBACK), taken), -EADDRINUSE)
    assert.equal(sockets.shutdownWrite(open(t, LOOPBACK)), -ENOTCONN)
    assert.equal(sockets.noDelay(-1), -EBADF)
  })

  test('sends text and bytes as one, up to what the call can hold', (t) => {
    const { EAGAIN, EPIPE } = constants.errno
    const fd = open(t, LOOPBACK)
    assert.equal(sockets.send(fd, ['not connected']), -EPIPE)
    assert.equal(sockets.send(fd, new Array<string>(9).fill('x')), -EAGAIN)
    assert.equal(sockets.send(fd, ['x'.repeat(65_536), 'y']), -EAGAIN)
  })
})
