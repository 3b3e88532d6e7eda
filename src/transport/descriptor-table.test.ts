import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Sockets, loadLibc } from '../os/internal.js'
import { DescriptorTable } from './descriptor-table.js'

describe('DescriptorTable', () => {
  test('closes what a thread has left open, but not what is not its own yet, nor what has the number now', (t) => {
    const libc = loadLibc()!
    const sockets = new Sockets(libc)
    const open = (): number => sockets.open({ kind: 'ip', host: '127.0.0.1', port: 0 })
    const [left, kept, closed] = [open(), open(), open()]
    const table = new DescriptorTable()
    for (const [slot, fd] of [left, kept, closed].entries()) table.add(slot, fd, sockets)
    sockets.close(closed)
    const next = open()
    assert.equal(next, closed)
    t.after(() => {
      for (const fd of [kept, next]) sockets.close(fd)
    })
    assert.equal(table.closeAll(libc, sockets, new Set([kept])), 1)
    const isOpen = (fd: number): boolean => sockets.cookie(fd).some((word) => word !== 0)
    assert.deepEqual([left, kept, next].map(isOpen), [false, true, true])
    // What is kept is no longer noted.
    assert.equal(table.closeAll(libc, sockets, new Set()), 0)
  })
})
