import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RecordingConnection } from '../../test/helpers/recording-connection.js'
import { HeaderMap } from '../http/index.js'
import { CHUNKED, UNTIL_CLOSE } from '../protocols/index.js'
import { MessageWriter } from './message-writer.js'

const SMALL = Buffer.from('small')
const LARGE = Buffer.alloc(5_000, 'x')

interface Setup {
  readonly connection: RecordingConnection
  readonly writer: MessageWriter
}

function setup(): Setup {
  const connection = new RecordingConnection()
  return { connection, writer: new MessageWriter(connection) }
}

describe('MessageWriter', () => {
  test('sends a head with a small body in one write', () => {
    const { connection, writer } = setup()
    writer.head('HEAD\r\n\r\n', SMALL.length)
    assert.equal(writer.data(SMALL, 0, SMALL.length), true)
    assert.deepEqual([connection.writes, writer.done], [[], false])
    writer.end(null)
    assert.deepEqual([connection.writes, writer.done], [['HEAD\r\n\r\nsmall'], true])
  })

  test('sends large data in one write with the head before it', () => {
    const { connection, writer } = setup()
    writer.head('HEAD\r\n\r\n', CHUNKED)
    writer.data(LARGE, 0, LARGE.length)
    assert.deepEqual(connection.writes, [`HEAD\r\n\r\n1388\r\n${LARGE.toString()}\r\n`])
    const trailers = new HeaderMap()
    trailers.append('X-T', '1')
    writer.end(trailers)
    assert.equal(connection.writes[1], '0\r\nX-T: 1\r\n\r\n')
  })

  test('sends only the part of the buffer that it was given', () => {
    const { connection, writer } = setup()
    writer.head('', 4_103)
    writer.data(SMALL, 1, 4)
    writer.data(LARGE, 100, 4_200)
    writer.end(null)
    assert.equal(connection.text, `mal${'x'.repeat(4_100)}`)
  })

  for (const length of [CHUNKED, UNTIL_CLOSE, 1_000_000]) {
    test(`says of small pieces, too, that bytes are pending (length ${length})`, () => {
      const { connection, writer } = setup()
      writer.head('HEAD\r\n\r\n', length)
      connection.pendingBytes = 1
      assert.equal(writer.data(SMALL, 0, SMALL.length), false)
      assert.equal(writer.flush(), false)
      assert.equal(writer.data(LARGE, 0, LARGE.length), false)
      connection.pendingBytes = 0
      assert.equal(writer.data(SMALL, 0, SMALL.length), true)
    })
  }

  test('does not gather small pieces without end', () => {
    const { connection, writer } = setup()
    writer.head('', CHUNKED)
    const piece = Buffer.alloc(4_096)
    for (let n = 0; n < 100; n++) writer.data(piece, 0, piece.length)
    assert.ok(connection.bytesWritten > 300_000)
  })

  test('refuses a body that is longer than declared before any byte of it is written', () => {
    const { connection, writer } = setup()
    writer.head('HEAD', 4)
    assert.throws(() => writer.data(SMALL, 0, SMALL.length), { code: 'PGR_BODY_LENGTH_MISMATCH' })
    assert.equal(connection.text, '')
  })

  test('refuses the end of a body that is shorter than declared', () => {
    const { connection, writer } = setup()
    writer.head('HEAD', 6)
    writer.data(SMALL, 0, SMALL.length)
    assert.throws(() => writer.end(null), { code: 'PGR_BODY_LENGTH_MISMATCH' })
    assert.deepEqual([connection.text, writer.done], ['', false])
  })

  test('sends an interim head at once', () => {
    const { connection, writer } = setup()
    writer.interim('INTERIM\r\n\r\n')
    assert.deepEqual([connection.writes, writer.done], [['INTERIM\r\n\r\n'], true])
  })

  test('counts the body, not its framing', () => {
    const { writer } = setup()
    writer.head('HEAD', CHUNKED)
    writer.data(SMALL, 0, 5)
    writer.data(SMALL, 2, 2)
    writer.data(LARGE, 0, 5_000)
    assert.equal(writer.bodyBytes, 5_005)
    writer.end(null)
    writer.head('HEAD', 0)
    assert.equal(writer.bodyBytes, 0)
  })
})
