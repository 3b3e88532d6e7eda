/** Response heads: status and reason, field calls, copies, and what may not reach the wire. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ResponseHeader } from './index.js'

describe('ResponseHeader', () => {
  test('has the usual reason unless one is given', () => {
    assert.equal(new ResponseHeader(404).reason, 'Not Found')
    assert.equal(new ResponseHeader(404, '').reason, '')
    assert.equal(new ResponseHeader(404, 'Nope').reason, 'Nope')
    assert.equal(new ResponseHeader(799).reason, '')
  })

  test('changes the reason with the status', () => {
    const header = new ResponseHeader(200)
    header.setStatus(503)
    assert.deepEqual([header.status, header.reason], [503, 'Service Unavailable'])
  })

  test('knows interim responses (RFC 9110 §15.2)', () => {
    assert.deepEqual(
      [100, 103, 199, 200, 599].map((status) => new ResponseHeader(status).isInterim),
      [true, true, true, false, false],
    )
  })

  test('inserts, appends, reads and removes fields', () => {
    const header = new ResponseHeader(200)
    header.appendHeader('Set-Cookie', 'a=1')
    header.appendHeader('set-cookie', 'b=2')
    assert.equal(header.getHeader('Set-Cookie'), 'a=1')
    header.insertHeader('Server', 'x')
    assert.equal(header.removeHeader('SET-COOKIE'), true)
    assert.equal(header.headers.toLines(), 'Server: x\r\n')
    assert.throws(() => {
      header.appendHeader('A', '\n')
    }, REFUSED)
  })

  test('clones into a head that changes alone', () => {
    const header = new ResponseHeader(200, 'Fine', '1.0')
    const copy = header.clone()
    copy.setStatus(500)
    copy.insertHeader('A', '1')
    assert.deepEqual([header.status, header.reason, header.headers.size], [200, 'Fine', 0])
    assert.equal(copy.version, '1.0')
  })

  test('lets no hook write a second line', () => {
    for (const status of [0, 99, 1000, 200.5, Number.NaN]) {
      assert.throws(() => {
        new ResponseHeader(status).assertWritable()
      }, REFUSED)
    }
    for (const reason of ['a\r\nb', '\n', '\0', 'ā']) {
      assert.throws(() => {
        new ResponseHeader(200, reason).assertWritable()
      }, REFUSED)
    }
    new ResponseHeader(200, '').assertWritable()
    new ResponseHeader(999, 'caf\u00e9').assertWritable()
  })
})

const REFUSED = { code: 'PGR_OPTION_INVALID' }
