/** gRPC as its users have it: client and server of grpc-js, with the whole proxy in between. */
import { Metadata, status } from '@grpc/grpc-js'
import type {
  ClientReadableStream,
  ServerDuplexStream,
  ServerWritableStream,
  ServiceError,
  StatusObject,
} from '@grpc/grpc-js'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { ProxyError } from '../../src/error/index.js'
import type { PeerOptions } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import { freePort } from '../helpers/free-port.js'
import { ProbeClient, metadataOf, startProbeServer } from '../helpers/grpc.js'
import type { ProbeMethods, ProbeServer } from '../helpers/grpc.js'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy, StartProxyOptions } from '../helpers/start-proxy.js'

type Way = 'h2 to h2c' | 'h2c to h2c' | 'h2c to h2'

interface Probe {
  readonly client: ProbeClient
  readonly proxy: RunningProxy
  readonly server: ProbeServer
}

for (const way of ['h2 to h2c', 'h2c to h2c', 'h2c to h2'] as const) {
  describe(`gRPC, ${way}`, { timeout: 60_000 }, () => {
    testCalls(way)
    testFailures(way)
  })
}

function testCalls(way: Way): void {
  test('a unary call, with metadata of both kinds both ways', async (t) => {
    let seen = new Metadata()
    const { client } = await start(t, way, {
      unary: (call, done) => {
        seen = call.metadata
        call.sendMetadata(metadataOf([['x-head', 'h']]))
        const trailer = metadataOf([
          ['x-tail', 'one'],
          ['x-tail', 'two'],
          ['x-tail-bin', BYTES],
          ['x-tail-bin', Buffer.from('more')],
        ])
        done(null, Buffer.from(`got ${String(call.request)}`), trailer)
      },
    })
    const heads: Metadata[] = []
    const ends: StatusObject[] = []
    const request = metadataOf([
      ['x-up', 'a'],
      ['x-up', 'b'],
      ['x-up-bin', BYTES],
    ])
    const { error, value } = await client.unary(Buffer.from('it'), request, 30_000, (call) => {
      call.on('metadata', (metadata) => heads.push(metadata))
      call.on('status', (given) => ends.push(given))
    })
    assert.equal(error, null)
    assert.equal(String(value), 'got it')
    assert.equal(seen.get('x-up').join(), 'a, b')
    assert.deepEqual(seen.get('x-up-bin'), [BYTES])
    assert.deepEqual(heads[0]?.get('x-head'), ['h'])
    assert.equal(ends[0]?.metadata.get('x-tail').join(), 'one, two')
    assert.deepEqual(ends[0].metadata.get('x-tail-bin'), [BYTES, Buffer.from('more')])
  })

  test('a client stream', async (t) => {
    const { client } = await start(t, way, {
      gather: (call, done) => {
        const got: string[] = []
        call.on('data', (piece: Buffer) => got.push(String(piece)))
        call.on('end', () => {
          done(null, Buffer.from(got.join()))
        })
      },
    })
    const { call, outcome } = client.gather()
    for (const piece of ['a', '', 'c']) call.write(Buffer.from(piece))
    call.end()
    assert.equal(String((await outcome).value), 'a,,c')
  })

  test('a server stream, each message before the next is made', async (t) => {
    let makeNext = (): void => undefined
    const { client } = await start(t, way, {
      list: (call) => {
        let made = 0
        makeNext = () => {
          if (++made > 5) call.end(metadataOf([['x-count', '5']]))
          else call.write(Buffer.from(`m${made}`))
        }
        makeNext()
      },
    })
    const call = client.list(Buffer.from('go'))
    const got: string[] = []
    call.on('data', (piece: Buffer) => {
      got.push(String(piece))
      makeNext()
    })
    const [end] = (await once(call, 'status')) as [StatusObject]
    assert.deepEqual(got, ['m1', 'm2', 'm3', 'm4', 'm5'])
    assert.deepEqual([end.code, end.metadata.get('x-count')], [status.OK, ['5']])
  })

  test('both directions, each side waiting for the other', async (t) => {
    const { client } = await start(t, way, {
      talk: (call) => {
        call.on('data', (piece: Buffer) => call.write(Buffer.from(`re ${String(piece)}`)))
        call.on('end', () => {
          call.end()
        })
      },
    })
    const call = client.talk()
    const got: string[] = []
    call.on('data', (piece: Buffer) => {
      got.push(String(piece))
      if (got.length < 20) call.write(Buffer.from(String(got.length)))
      else call.end()
    })
    call.write(Buffer.from('0'))
    const [end] = (await once(call, 'status')) as [StatusObject]
    assert.equal(end.code, status.OK)
    assert.deepEqual(
      got,
      Array.from({ length: 20 }, (_, index) => `re ${index}`),
    )
  })

  test('the server may speak first, and end first', async (t) => {
    const { client } = await start(t, way, {
      talk: (call) => {
        call.write(Buffer.from('hello'))
        call.once('data', () => {
          call.end()
        })
      },
    })
    const call = client.talk()
    const [first] = (await once(call, 'data')) as [Buffer]
    assert.equal(String(first), 'hello')
    call.write(Buffer.from('bye'))
    const [end] = (await once(call, 'status')) as [StatusObject]
    assert.equal(end.code, status.OK)
  })

  test('big messages go through the windows of both sides', async (t) => {
    const { client } = await start(t, way, {
      unary: (call, done) => {
        done(null, call.request)
      },
      talk: (call) => {
        call.on('data', (piece: Buffer) => {
          // As a server that reads no faster than its client does.
          if (!call.write(piece)) {
            call.pause()
            call.once('drain', () => call.resume())
          }
        })
        call.on('end', () => {
          call.end()
        })
      },
    })
    const big = Buffer.alloc(8 * 1024 * 1024, 'abcdefg')
    assert.ok((await client.unary(big)).value?.equals(big))
    const call = client.talk()
    for (let sent = 0; sent < 8; sent++) call.write(big.subarray(0, 1024 * 1024 + sent))
    call.end()
    const sizes: number[] = []
    call.on('data', (piece: Buffer) => {
      sizes.push(piece.length)
      // A client that is slow.
      call.pause()
      setImmediate(() => call.resume())
    })
    const [end] = (await once(call, 'status')) as [StatusObject]
    assert.equal(end.code, status.OK)
    assert.deepEqual(
      sizes,
      Array.from({ length: 8 }, (_, index) => 1024 * 1024 + index),
    )
  })

  test('many calls at once on one channel', async (t) => {
    const { client, proxy } = await start(t, way, {
      unary: (call, done) => {
        setImmediate(() => {
          done(null, call.request)
        })
      },
    })
    const calls = Array.from({ length: 500 }, async (_, index) => {
      const { error, value } = await client.unary(Buffer.from(String(index)))
      assert.equal(error, null)
      assert.equal(String(value), String(index))
    })
    await Promise.all(calls)
    assert.equal(proxy.counters.get('downstreamConnectionsAccepted'), 1)
  })
}

function testFailures(way: Way): void {
  test('an error with details, message and metadata', async (t) => {
    const { client } = await start(t, way, {
      unary: (call, done) => {
        // A head before it: then the status comes in trailers, else it is all that comes.
        if (String(call.request) === 'late') call.sendMetadata(metadataOf([['x-head', 'h']]))
        const metadata = metadataOf([
          ['grpc-status-details-bin', BYTES],
          ['x-why', 'because'],
        ])
        done({ code: status.FAILED_PRECONDITION, details: 'nö, "not" now 100%', metadata })
      },
    })
    for (const request of ['at once', 'late']) {
      const { error } = await client.unary(Buffer.from(request))
      assert.deepEqual(
        [error?.code, error?.details],
        [status.FAILED_PRECONDITION, 'nö, "not" now 100%'],
      )
      assert.deepEqual(error?.metadata.get('grpc-status-details-bin'), [BYTES])
      assert.deepEqual(error.metadata.get('x-why'), ['because'])
    }
  })

  test('an error after some messages', async (t) => {
    const { client } = await start(t, way, {
      list: (call) => {
        call.write(Buffer.from('one'))
        call.emit('error', { code: status.DATA_LOSS, details: 'gone' })
      },
    })
    const call = client.list(Buffer.alloc(0))
    const got: string[] = []
    call.on('data', (piece: Buffer) => got.push(String(piece)))
    const error = await errorOf(call)
    assert.deepEqual(got, ['one'])
    assert.deepEqual([error.code, error.details], [status.DATA_LOSS, 'gone'])
  })

  test('a method that is not there', async (t) => {
    const { client } = await start(t, way, {})
    assert.equal((await client.unary(Buffer.alloc(0))).error?.code, status.UNIMPLEMENTED)
  })

  test('a deadline goes to the server, and what passes it is cancelled there', async (t) => {
    const began = deferred<Date | number>()
    const cancelled = deferred<void>()
    const { client } = await start(t, way, {
      list: (call) => {
        call.on('cancelled', () => {
          cancelled.resolve()
        })
        began.resolve(call.getDeadline())
      },
    })
    const call = client.list(Buffer.alloc(0), 1_500)
    const error = await errorOf(call)
    assert.equal(error.code, status.DEADLINE_EXCEEDED)
    assert.notEqual(await began.promise, Infinity)
    await cancelled.promise
  })

  test('what the client cancels is cancelled at the server; other calls go on', async (t) => {
    const cancelled = deferred<void>()
    const { client } = await start(t, way, {
      list: (call) => {
        call.on('cancelled', () => {
          cancelled.resolve()
        })
        call.write(Buffer.from('one'))
      },
      talk: (call) => {
        call.on('data', (piece: Buffer) => call.write(piece))
        call.on('end', () => {
          call.end()
        })
      },
    })
    const other = client.talk()
    other.write(Buffer.from('before'))
    await once(other, 'data')
    const call = client.list(Buffer.alloc(0))
    call.once('data', () => {
      call.cancel()
    })
    assert.equal((await errorOf(call)).code, status.CANCELLED)
    await cancelled.promise
    other.write(Buffer.from('after'))
    const [piece] = (await once(other, 'data')) as [Buffer]
    assert.equal(String(piece), 'after')
    other.end()
    const [end] = (await once(other, 'status')) as [StatusObject]
    assert.equal(end.code, status.OK)
  })

  test('a client that leaves while it sends cancels too', async (t) => {
    const began = deferred<void>()
    const cancelled = deferred<void>()
    const { client } = await start(t, way, {
      gather: (call) => {
        call.on('error', () => undefined)
        call.on('cancelled', () => {
          cancelled.resolve()
        })
        call.once('data', () => {
          began.resolve()
        })
      },
    })
    const { call, outcome } = client.gather()
    call.write(Buffer.from('x'))
    await began.promise
    call.cancel()
    assert.equal((await outcome).error?.code, status.CANCELLED)
    await cancelled.promise
  })

  test('a server that goes away lets its calls end, and the next one serves', async (t) => {
    const first = deferred<ServerDuplexStream<Buffer, Buffer>>()
    const { client, server } = await start(t, way, {
      talk: (call) => {
        first.resolve(call)
        call.on('data', (piece: Buffer) => call.write(piece))
        call.on('end', () => {
          call.end()
        })
      },
    })
    const call = client.talk()
    call.write(Buffer.from('1'))
    await once(call, 'data')
    await first.promise
    const gone = server.shutDown()
    call.write(Buffer.from('2'))
    await once(call, 'data')
    call.end()
    const [end] = (await once(call, 'status')) as [StatusObject]
    assert.equal(end.code, status.OK)
    await gone
    assert.equal((await client.unary(Buffer.alloc(0))).error?.code, status.UNAVAILABLE)
    await startProbeServer(
      t,
      {
        unary: (_call, done) => {
          done(null, Buffer.from('new'))
        },
      },
      await serverCertificate(way),
      server.port,
    )
    assert.equal(String((await client.unary(Buffer.alloc(0))).value), 'new')
  })

  test('what the proxy answers itself is the status of the call', async (t) => {
    const failures: [StartProxyOptions, number, string][] = [
      [{}, status.UNAVAILABLE, '502 Bad Gateway'],
      [{ hooks: { upstreamPeer: () => undefined } }, status.UNAVAILABLE, '503 Service Unavailable'],
      [
        { hooks: { failToProxy: () => ({ status: 429, body: 'später' }) } },
        status.UNAVAILABLE,
        'später',
      ],
      [{ hooks: { requestFilter: refuse } }, status.UNAUTHENTICATED, '401 Unauthorized'],
    ]
    const port = await freePort()
    for (const [options, code, details] of failures) {
      const { client } = await startBetween(t, way, port, options)
      const { error } = await client.unary(Buffer.alloc(0))
      assert.deepEqual([error?.code, error?.details], [code, details])
    }
  })

  test('a server that is silent for too long is no reason to call again', async (t) => {
    const peer = { ...(await peerOf(way)), readTimeoutMs: 200 }
    const { client } = await start(t, way, { list: () => undefined }, { peer })
    const { code, details } = await errorOf(client.list(Buffer.alloc(0)))
    assert.deepEqual([code, details], [status.DEADLINE_EXCEEDED, '504 Gateway Timeout'])
  })

  test('a client that is silent for too long ends its call', async (t) => {
    const { client } = await start(
      t,
      way,
      {
        gather: () => undefined,
        talk: (call) => {
          call.on('error', () => undefined)
          call.write(Buffer.from('hello'))
        },
      },
      { timeouts: { bodyMs: 200 } },
    )
    const unanswered = (await client.gather().outcome).error
    assert.deepEqual(
      [unanswered?.code, unanswered?.details],
      [status.DEADLINE_EXCEEDED, '408 Request Timeout'],
    )
    assert.notEqual((await errorOf(client.talk())).code, status.OK)
  })

  test('a server that breaks off ends its calls, and none hangs', async (t) => {
    const began: ServerWritableStream<Buffer, Buffer>[] = []
    const { client, server } = await start(t, way, {
      list: (call) => {
        began.push(call)
        call.write(Buffer.from('one'))
      },
    })
    const calls = Array.from({ length: 20 }, () => client.list(Buffer.alloc(0)))
    const ends = calls.map((call) => errorOf(call))
    await Promise.all(calls.map((call) => once(call, 'data')))
    assert.equal(began.length, 20)
    server.forceShutdown()
    for (const { code } of await Promise.all(ends)) assert.notEqual(code, status.OK)
  })
}

async function start(
  t: TestContext,
  way: Way,
  methods: ProbeMethods,
  options: StartProxyOptions = {},
): Promise<Probe> {
  const server = await startProbeServer(t, methods, await serverCertificate(way))
  return { server, ...(await startBetween(t, way, server.port, options)) }
}

/** A proxy in front of `port`, and a client of it. */
async function startBetween(
  t: TestContext,
  way: Way,
  port: number,
  options: StartProxyOptions = {},
): Promise<Omit<Probe, 'server'>> {
  const { ca, leaf } = await secrets()
  const proxy = await startProxy(port, {
    listener: way === 'h2 to h2c' ? { tls: { certificates: [leaf] } } : { h2c: true },
    peer: await peerOf(way),
    ...options,
  })
  t.after(() => {
    proxy.destroy()
  })
  return { client: new ProbeClient(t, proxy.port, way === 'h2 to h2c' ? ca : undefined), proxy }
}

async function peerOf(way: Way): Promise<PeerOptions> {
  if (way !== 'h2c to h2') return { protocol: 'h2c', maxH2Streams: 100 }
  return { protocol: 'h2', tls: true, ca: (await secrets()).ca, maxH2Streams: 100 }
}

function refuse(): never {
  throw ProxyError.httpStatus(401)
}

async function serverCertificate(way: Way): Promise<Secrets['leaf'] | undefined> {
  return way === 'h2c to h2' ? (await secrets()).leaf : undefined
}

async function makeSecrets() {
  const ca = await testCa()
  return { ca: ca.cert, leaf: await ca.issue({ names: ['127.0.0.1', 'localhost'] }) }
}

type Secrets = Awaited<ReturnType<typeof makeSecrets>>

let made: Promise<Secrets> | undefined

/** Made once for all tests. */
function secrets(): Promise<Secrets> {
  made ??= makeSecrets()
  return made
}

/** The status with which a call fails. */
async function errorOf(call: ClientReadableStream<Buffer>): Promise<ServiceError> {
  call.on('data', () => undefined)
  const [error] = (await once(call, 'error')) as [ServiceError]
  return error
}

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/** Not all of it text in any encoding. */
const BYTES = Buffer.from([0, 1, 127, 128, 255, 10, 13])
