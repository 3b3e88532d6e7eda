import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Sockets } from '../../os/internal.js'
import type { Connection } from '../connection.js'
import { DescriptorTable } from '../descriptor-table.js'
import { NodeNetwork } from '../node/node-network.js'
import { RingLoop } from './ring-loop.js'

describe('RingNetwork', { timeout: 20_000 }, () => {
  test('a connection is noted from the dial to its end without a gap, in which its thread may end', async (t) => {
    const loop = RingLoop.ofThread()!
    const noted = new Notes()
    loop.trackIn(noted)
    const network = new NodeNetwork()
    const open: Connection[] = []
    const address = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
    const listener = await network.listen(address, {}, (accepted) => open.push(accepted))
    t.after(async () => {
      for (const connection of open) connection.destroy()
      await listener.close()
    })
    open.push(await network.dial(listener.address, {}))
    assert.deepEqual(noted.forgotten, [])
  })
})

/** Which descriptors were noted once and then, for a moment at least, not at all. */
class Notes extends DescriptorTable {
  readonly forgotten: number[] = []
  readonly #bySlot = new Map<number, number>()

  override add(slot: number, fd: number, sockets: Sockets): void {
    super.add(slot, fd, sockets)
    this.#bySlot.set(slot, fd)
  }

  override remove(slot: number): void {
    super.remove(slot)
    const fd = this.#bySlot.get(slot)!
    this.#bySlot.delete(slot)
    if (![...this.#bySlot.values()].includes(fd)) this.forgotten.push(fd)
  }
}
