import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Sockets } from '../../os/internal.js'
import { Recorder } from '../../../test/helpers/recorder.js'
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

  test('what many connections write before they close all at once arrives, and all of them are gone', async (t) => {
    const network = new NodeNetwork()
    const address = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
    const accepted: Connection[] = []
    const listener = await network.listen(address, { backlog: CLOSING }, (connection) => {
      accepted.push(connection)
    })
    t.after(() => listener.close())
    const clients: Recorder[] = []
    for (let opened = 0; opened < CLOSING; opened++) {
      clients.push(new Recorder(await network.dial(listener.address, {})))
    }
    while (accepted.length < CLOSING) await new Promise(setImmediate)
    const servers = accepted.map((connection) => new Recorder(connection))
    for (const connection of accepted) {
      connection.write('the last')
      connection.write(' words')
      connection.destroy()
    }
    await Promise.all(
      [...clients, ...servers].map((side) => side.until(() => side.ended || side.closes > 0)),
    )
    for (const client of clients) client.connection.destroy()
    await Promise.all([...clients, ...servers].map((side) => side.closed()))
    assert.ok(clients.every(({ text }) => text === 'the last words'))
  })
})

/** Each takes four operations, and the ring hands over fewer than all of them at once. */
const CLOSING = 400

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
