import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DescriptorNetwork } from '../../transport/index.js'
import { Adoption } from './adoption.js'

const NOWHERE: DescriptorNetwork = {
  accept: () => Promise.resolve({ close: () => Promise.resolve() }),
  adopt() {},
  discard() {},
}
const ASKED = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
const BOUND = { kind: 'ip', host: '127.0.0.1', port: 8080 } as const

for (const message of [
  { kind: 'deal', key: 'a', bound: BOUND, fd: 7 },
  { kind: 'accept', key: 'a', bound: BOUND, fd: 7, isNonBlocking: true, isShared: true },
] as const) {
  test(`a listener in a worker knows its port once something came (${message.kind})`, async () => {
    const adoption = new Adoption(NOWHERE, new SharedArrayBuffer(4))
    const listener = await adoption.listen('a', ASKED, {}, () => undefined)
    assert.deepEqual(listener.address, ASKED)
    adoption.adopt(message)
    assert.deepEqual(listener.address, BOUND)
    await listener.close()
  })
}
