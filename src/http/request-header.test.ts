/** Request heads: paths and queries, field calls, copies, and what may not reach the wire. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RequestHeader } from './index.js'

describe('RequestHeader', () => {
  test('cuts the target at the first question mark', () => {
    const table: readonly (readonly [string, string, string])[] = [
      ['/', '/', ''],
      ['/a?b=1', '/a', 'b=1'],
      ['/a?b?c', '/a', 'b?c'],
      ['/a?', '/a', ''],
      ['/?', '/', ''],
      ['*', '*', ''],
    ]
    for (const [target, path, query] of table) {
      const header = new RequestHeader('GET', target)
      assert.equal(header.path, path)
      assert.equal(header.query, query)
    }
  })

  test('inserts, appends, reads and removes fields', () => {
    const header = new RequestHeader('GET', '/')
    header.appendHeader('A', '1')
    header.appendHeader('a', '2')
    assert.equal(header.getHeader('A'), '1')
    header.insertHeader('A', '3')
    assert.deepEqual(header.headers.getAll('a'), ['3'])
    assert.equal(header.removeHeader('a'), true)
    assert.equal(header.removeHeader('a'), false)
    assert.throws(() => {
      header.insertHeader('A', 'x\r\nB: y')
    }, REFUSED)
    assert.throws(() => {
      header.appendHeader('A\r\n', 'x')
    }, REFUSED)
  })

  test('clones into a head that changes alone', () => {
    const header = new RequestHeader('GET', '/a', '1.0')
    header.insertHeader('A', '1')
    const copy = header.clone()
    copy.method = 'PUT'
    copy.target = '/b'
    copy.insertHeader('A', '2')
    assert.deepEqual([header.method, header.target, header.getHeader('A')], ['GET', '/a', '1'])
    assert.equal(copy.version, '1.0')
  })

  test('lets no hook write a second line', () => {
    for (const method of ['', 'G ET', 'GET\r\n', 'G\0', 'GÉT']) {
      assert.throws(() => {
        new RequestHeader(method, '/').assertWritable()
      }, REFUSED)
    }
    for (const target of ['', '/a b', '/a\r\n', '/\n', '/\t', '/\0', '/\x7f', '/ā']) {
      assert.throws(() => {
        new RequestHeader('GET', target).assertWritable()
      }, REFUSED)
    }
    for (const target of ['/', '*', '/%20', '/\u00e9', '/a?b=1']) {
      new RequestHeader('GET', target).assertWritable()
    }
  })
})

const REFUSED = { code: 'PGR_OPTION_INVALID' }
