import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { RecordingConnection } from '../../test/helpers/recording-connection.js'
import { testWorld } from '../../test/helpers/test-world.js'
import { HttpDate, ResponseHeader } from '../http/index.js'
import { SILENT_LOGGER } from '../observability/index.js'
import { REQUEST_LIMITS } from '../protocols/index.js'
import { H1ServerConnection } from './h1-server-connection.js'
import { DOWNSTREAM_TIMEOUTS } from './h1-server-options.js'

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

describe('an idle HTTP/1 connection', () => {
  test('closes when the client has ended and has taken its answer, in either order', (t) => {
    for (const isLate of [false, true]) {
      const connection = serve(t)
      connection.receive(REQUEST)
      assert.match(connection.text, /^HTTP\/1\.1 200 OK\r\n/)
      // The kernel may tell of the end before it tells that the answer was sent.
      if (isLate) connection.pendingBytes = connection.bytesWritten
      connection.handler.onEnd()
      assert.equal(connection.destroyed, !isLate)
      if (isLate) connection.drain()
      assert.ok(connection.destroyed)
      connection.close()
    }
  })
})

/** A connection whose requests are all answered at once. */
function serve(t: TestContext): RecordingConnection {
  const connection = new RecordingConnection()
  const { env, counters } = testWorld(t)
  const server = new H1ServerConnection(
    connection,
    {
      env,
      counters,
      logger: SILENT_LOGGER,
      date: new HttpDate(),
      limits: REQUEST_LIMITS,
      timeouts: DOWNSTREAM_TIMEOUTS,
      abortOnClose: true,
      allowConnect: false,
      onRequest: (session) => {
        session.writeHeader(new ResponseHeader(200), 0)
        session.writeEnd(null)
        session.finish()
      },
      errorResponse: () => assert.fail('every request is well-formed'),
    },
    () => undefined,
  )
  server.start()
  return connection
}
