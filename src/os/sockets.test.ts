import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { constants } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { receiveDescriptors } from './descriptor-passing.js'
import { loadLibc } from './libc.js'
import { Sockets } from './sockets.js'
import type { SocketName } from './sockets.js'
import { temporaryFolder } from '../../test/helpers/temporary-folder.js'

const libc = loadLibc()
const LOOPBACK = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
const [F_GETFD, F_SETFD] = [1, 2]

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

  test('tells a socket by its name, however that is written', (t) => {
    const wildcard = open(t, { kind: 'ip', host: '::', port: 0 })
    const anyV6 = { kind: 'ip', host: '::', port: 0 } as const
    assert.equal(sockets.bind(wildcard, anyV6), 0)
    const { port } = sockets.boundName(wildcard) as { port: number }
    assert.deepEqual(sockets.boundName(wildcard), { ...anyV6, port })
    for (const [host, expected] of [
      ['::', true],
      ['0:0:0:0:0:0:0:0', true],
      ['0.0.0.0', false],
      ['::1', false],
      ['::ffff:0.0.0.0', false],
    ] as const) {
      assert.equal(sockets.isBoundTo(wildcard, { kind: 'ip', host, port }), expected, host)
    }
    assert.equal(sockets.isBoundTo(wildcard, { ...anyV6, port: port - 1 }), false)
    const mapped = open(t, anyV6)
    assert.equal(sockets.bind(mapped, { kind: 'ip', host: '::ffff:127.0.0.1', port: 0 }), 0)
    const mappedPort = sockets.localEnd(mapped)[1]
    for (const [host, expected] of [
      ['::ffff:127.0.0.1', true],
      ['::FFFF:7f00:1', true],
      ['127.0.0.1', false],
    ] as const) {
      const name = { kind: 'ip', host, port: mappedPort } as const
      assert.equal(sockets.isBoundTo(mapped, name), expected, host)
    }
  })

  test('tells unix sockets by their whole path, and abstract ones by their name', (t) => {
    const folder = temporaryFolder(t)
    for (const path of [join(folder, 'é.sock'), `\0${folder}`]) {
      const name = { kind: 'unix', path } as const
      const fd = sockets.openDatagram()
      t.after(() => {
        sockets.close(fd)
      })
      assert.equal(sockets.boundName(fd), null)
      assert.equal(sockets.isBoundTo(fd, name), false)
      assert.equal(sockets.bind(fd, name), 0)
      assert.deepEqual(sockets.boundName(fd), name)
      assert.equal(sockets.isBoundTo(fd, name), true)
      assert.equal(sockets.isBoundTo(fd, { ...name, path: path.slice(0, -1) }), false)
      assert.equal(sockets.boundName(-1), null)
    }
  })

  test('tells which sockets listen', (t) => {
    const fd = open(t, LOOPBACK)
    assert.equal(sockets.isListening(fd), false)
    assert.equal(sockets.bind(fd, LOOPBACK), 0)
    assert.equal(sockets.listen(fd, 1), 0)
    assert.equal(sockets.isListening(fd), true)
    assert.equal(sockets.isListening(-1), false)
    assert.equal(sockets.boundName(-1), null)
  })

  test('keeps a descriptor from programs that are started', (t) => {
    const fd = open(t, LOOPBACK)
    assert.equal(libc!.fcntl(fd, F_SETFD, 0), 0)
    assert.equal(sockets.closeOnExec(fd), 0)
    assert.equal(libc!.fcntl(fd, F_GETFD, 0), 1)
  })

  test('sends datagrams, each as one message', (t) => {
    const name = { kind: 'unix', path: `\0pingora-ts ${randomUUID()}` } as const
    const [far, near] = [sockets.openDatagram(), sockets.openDatagram()]
    t.after(() => {
      for (const fd of [far, near]) sockets.close(fd)
    })
    assert.equal(sockets.connect(near, name), -constants.errno.ECONNREFUSED)
    assert.equal(sockets.bind(far, name), 0)
    assert.equal(sockets.connect(near, name), 0)
    for (const text of ['one', 'and two']) assert.equal(sockets.send(near, [text]), text.length)
    for (const text of ['one', 'and two']) {
      const message = receiveDescriptors(libc!, far, 100)
      assert.ok(typeof message === 'object')
      assert.equal(message.bytes.toString(), text)
    }
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
