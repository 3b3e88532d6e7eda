import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { SharedRegistry } from './shared-registry.js'
import { Snapshot } from './snapshot.js'

describe('Snapshot', () => {
  test('has nothing to read before the first version', () => {
    const { main, reader } = pair(10)
    assert.deepEqual([reader.version, reader.read(), main.read()], [0, undefined, undefined])
  })

  test('gives every reader the latest version, whatever the lengths before', () => {
    const documents = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 6 })
    const reads = fc.property(documents, (list) => {
      const { main, reader } = pair(40)
      for (const [index, bytes] of list.entries()) {
        assert.equal(main.publish(bytes), index + 1)
        assert.equal(reader.version, index + 1)
        assert.deepEqual(reader.read(), { version: index + 1, bytes })
        assert.deepEqual(main.read(), { version: index + 1, bytes })
      }
    })
    fc.assert(reads)
  })

  test('takes a copy of what is published, and gives copies', () => {
    const { main, reader } = pair(4)
    const bytes = new Uint8Array([1, 2, 3])
    main.publish(bytes)
    bytes[0] = 9
    const copy = reader.read()!
    assert.equal(copy.bytes[0], 1)
    copy.bytes[0] = 8
    assert.equal(reader.read()?.bytes[0], 1)
    main.publish(new Uint8Array(4))
    assert.deepEqual([...copy.bytes], [8, 2, 3])
  })

  test('refuses more bytes than it has room for, and keeps the version before', () => {
    const { main, reader } = pair(5)
    main.publish(new Uint8Array([1, 2, 3, 4, 5]))
    assert.throws(() => main.publish(new Uint8Array(6)), {
      code: 'PGR_OPTION_INVALID',
      message: 'document#0: at most 5 bytes, got 6',
    })
    assert.deepEqual([...reader.read()!.bytes], [1, 2, 3, 4, 5])
    for (const maxBytes of [0, 1.5, 2 ** 28 + 1]) {
      assert.throws(() => pair(maxBytes), { code: 'PGR_OPTION_INVALID' })
    }
  })

  test('is published by the main thread only', () => {
    const { reader } = pair(4)
    assert.throws(() => reader.publish(new Uint8Array(1)), { code: 'PGR_INTERNAL' })
  })

  test('costs no memory for room that is not used', { skip: process.platform !== 'linux' }, () => {
    const before = process.memoryUsage().rss
    const { main, reader } = pair(2 ** 27)
    main.publish(new Uint8Array(1_000).fill(1))
    assert.equal(reader.read()?.bytes.length, 1_000)
    const grown = process.memoryUsage().rss - before
    assert.ok(grown < 2 ** 25, `${grown} bytes for 2 places of 128 MiB`)
  })

  /** A snapshot in the main thread, and as a worker sees it. */
  function pair(maxBytes: number) {
    const registry = new SharedRegistry()
    const main = new Snapshot(registry, 'document', { maxBytes })
    const worker = SharedRegistry.import(registry.export(1), { workerIndex: 1 })
    return { main, reader: new Snapshot(worker, 'document', { maxBytes }) }
  }
})
