import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import {
  MAX_PASSED_DESCRIPTORS,
  receiveDescriptors,
  sendDescriptors,
} from './descriptor-passing.js'
import { loadLibc } from './libc.js'
import { Sockets } from './sockets.js'
import { temporaryFolder } from '../../test/helpers/temporary-folder.js'

const libc = loadLibc()
const { EAGAIN, EINVAL, EPIPE } = constants.errno

describe('passing descriptors', { skip: libc === null && 'no libc here' }, () => {
  const sockets = new Sockets(libc!)

  /** Two ends of a unix socket, neither of which waits. */
  function pair(t: TestContext): [number, number] {
    const folder = mkdtempSync(join(tmpdir(), 'pingora-'))
    const name = { kind: 'unix', path: join(folder, 's') } as const
    const [listening, near] = [sockets.open(name), sockets.open(name)]
    sockets.setNonBlocking(listening)
    sockets.setNonBlocking(near)
    assert.equal(sockets.bind(listening, name), 0)
    assert.equal(sockets.listen(listening, 1), 0)
    assert.equal(sockets.accept(listening), -EAGAIN)
    assert.equal(sockets.connect(near, name), 0)
    const far = sockets.accept(listening)
    assert.ok(far >= 0)
    assert.equal(sockets.isNonBlocking(far), true)
    t.after(() => {
      for (const fd of [listening, near, far]) sockets.close(fd)
      rmSync(folder, { recursive: true })
    })
    return [near, far]
  }

  test('gives the other end descriptors of the same files, in order', (t) => {
    const [near, far] = pair(t)
    const folder = temporaryFolder(t)
    const fds = ['one', 'two', 'three'].map((text) => {
      writeFileSync(join(folder, text), text)
      return openSync(join(folder, text), 'r')
    })
    assert.equal(sendDescriptors(libc!, near, Buffer.from('names'), fds), 5)
    for (const fd of fds) closeSync(fd)
    const message = receiveDescriptors(libc!, far, 100)
    assert.ok(typeof message === 'object')
    assert.equal(message.bytes.toString(), 'names')
    const texts = message.fds.map((fd) => {
      const bytes = Buffer.alloc(10)
      const length = readSync(fd, bytes, 0, 10, 0)
      closeSync(fd)
      return bytes.toString('latin1', 0, length)
    })
    assert.deepEqual(texts, ['one', 'two', 'three'])
  })

  test('passes as many as the kernel does, and no more', (t) => {
    const [near, far] = pair(t)
    const file = openSync('/dev/null', 'r')
    t.after(() => {
      closeSync(file)
    })
    const most = new Array<number>(MAX_PASSED_DESCRIPTORS).fill(file)
    assert.equal(sendDescriptors(libc!, near, Buffer.from('x'), most), 1)
    const message = receiveDescriptors(libc!, far, 1)
    assert.ok(typeof message === 'object')
    assert.equal(message.fds.length, MAX_PASSED_DESCRIPTORS)
    for (const fd of message.fds) closeSync(fd)
    assert.equal(sendDescriptors(libc!, near, Buffer.from('x'), [...most, file]), -EINVAL)
  })

  test('passes bytes alone, says when there are none, and when the peer is gone', (t) => {
    const [near, far] = pair(t)
    assert.equal(receiveDescriptors(libc!, far, 10), -EAGAIN)
    assert.equal(sendDescriptors(libc!, near, Buffer.from('bytes'), []), 5)
    assert.deepEqual(receiveDescriptors(libc!, far, 10), { bytes: Buffer.from('bytes'), fds: [] })
    sockets.shutdownWrite(near)
    const end = receiveDescriptors(libc!, far, 10)
    assert.ok(typeof end === 'object')
    assert.equal(end.bytes.length, 0)
    assert.equal(sendDescriptors(libc!, near, Buffer.from('x'), []), -EPIPE)
  })

  test('tells the user at the other end', (t) => {
    const [near, far] = pair(t)
    for (const fd of [near, far]) assert.equal(sockets.peerUser(fd), process.getuid?.())
    assert.ok(sockets.peerUser(-1) < 0)
  })

  test('duplicates a descriptor', (t) => {
    const [near, far] = pair(t)
    const copy = sockets.duplicate(near)
    assert.ok(copy > 2)
    assert.equal(sockets.send(copy, ['from the copy']), 13)
    sockets.close(copy)
    const message = receiveDescriptors(libc!, far, 100)
    assert.ok(typeof message === 'object')
    assert.equal(message.bytes.toString(), 'from the copy')
  })
})
