/** A page that makes calls of gRPC-Web in a browser, and reports what became of them. */

/** One thing that the page does. */
export type PageCase =
  | 'unary binary'
  | 'unary text'
  | 'stream text'
  | 'stream binary by fetch'
  | 'error binary'
  | 'error text'
  | 'late error text'
  | 'unavailable text'
  | 'cancel text'

/** What became of it. */
export interface PageReport {
  readonly name: PageCase
  /** Messages, in order. */
  readonly messages: readonly string[]
  /** The status of gRPC and its message. */
  readonly code: number
  readonly details: string
  /** Fields of the head and of the trailers, as the client has them. */
  readonly metadata: Readonly<Record<string, string>>
  /** Why the page itself failed; empty when it did not. */
  readonly failed: string
}

/**
 * The page. `?base=` says where the gRPC server is, `?cases=` what to do, as JSON. Each message of a
 * stream is acknowledged at `/ack`, and each report goes to `/report`.
 */
export const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>gRPC-Web</title>
<script type="module">
import { GrpcWebClientBase, MethodDescriptor, MethodType } from '/grpc-web.js'

const query = new URLSearchParams(location.search)
const base = query.get('base') ?? location.origin
const encode = (text) => new TextEncoder().encode(text)
const decode = (bytes) => new TextDecoder().decode(bytes)
const clients = {
  binary: new GrpcWebClientBase({ format: 'binary' }),
  text: new GrpcWebClientBase({ format: 'text' }),
}
const describe = (name, type) => new MethodDescriptor(name, type, Object, Object, encode, decode)
const UNARY = describe('/test.Probe/Unary', MethodType.UNARY)
const LIST = describe('/test.Probe/List', MethodType.SERVER_STREAMING)

const acknowledge = (message) => fetch('/ack', { method: 'POST', body: message })

function follow(call, report) {
  call.on('metadata', (metadata) => Object.assign(report.metadata, metadata))
  call.on('status', (status) => {
    report.code = status.code
    report.details = status.details
    Object.assign(report.metadata, status.metadata)
  })
}

function unary(format, request, report, path = '') {
  return new Promise((done) => {
    const call = clients[format].rpcCall(base + path + '/test.Probe/Unary', request, { 'x-up': 'a' }, UNARY,
      (error, message) => {
        if (error) {
          report.code = error.code
          report.details = error.message
          Object.assign(report.metadata, error.metadata)
        } else report.messages.push(message)
        // All that is told of the end is told in one turn.
        setTimeout(done)
      })
    follow(call, report)
  })
}

function stream(format, request, report, onMessage) {
  return new Promise((done) => {
    const call = clients[format].serverStreaming(base + '/test.Probe/List', request, {}, LIST)
    call.on('data', (message) => {
      report.messages.push(message)
      onMessage(message, call, done)
    })
    call.on('error', (error) => {
      report.code = error.code
      report.details = error.message
      setTimeout(done)
    })
    call.on('end', () => setTimeout(done))
    follow(call, report)
  })
}

/** Without the library, which reads streams in text only. */
async function streamByFetch(request, report) {
  const bytes = encode(request)
  const body = new Uint8Array(5 + bytes.length)
  new DataView(body.buffer).setUint32(1, bytes.length)
  body.set(bytes, 5)
  const headers = { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' }
  const response = await fetch(base + '/test.Probe/List', { method: 'POST', headers, body })
  const reader = response.body.getReader()
  let kept = new Uint8Array(0)
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const joined = new Uint8Array(kept.length + value.length)
    joined.set(kept)
    joined.set(value, kept.length)
    kept = joined
    while (kept.length >= 5) {
      const length = new DataView(kept.buffer, kept.byteOffset).getUint32(1)
      if (kept.length < 5 + length) break
      const text = decode(kept.subarray(5, 5 + length))
      if (kept[0] === 0x80) {
        for (const line of text.trimEnd().split('\\r\\n')) {
          const [, name, field] = /^([^:]+):(.*)$/.exec(line)
          report.metadata[name] = field
        }
        report.code = Number(report.metadata['grpc-status'])
      } else {
        report.messages.push(text)
        await acknowledge(text)
      }
      kept = kept.slice(5 + length)
    }
  }
}

const CASES = {
  'unary binary': (report) => unary('binary', 'it', report),
  'unary text': (report) => unary('text', 'it', report),
  'stream text': (report) => stream('text', 'go', report, acknowledge),
  'stream binary by fetch': (report) => streamByFetch('go', report),
  'error binary': (report) => unary('binary', 'fail', report),
  'error text': (report) => unary('text', 'fail', report),
  'late error text': (report) => stream('text', 'fail', report, () => undefined),
  'unavailable text': (report) => unary('text', 'it', report, '/nowhere'),
  'cancel text': (report) =>
    stream('text', 'endless', report, (_message, call, done) => {
      call.cancel()
      done()
    }),
}

for (const name of JSON.parse(query.get('cases'))) {
  const report = { name, messages: [], code: -1, details: '', metadata: {}, failed: '' }
  try {
    await CASES[name](report)
  } catch (error) {
    report.failed = String(error)
  }
  await fetch('/report', { method: 'POST', body: JSON.stringify(report) })
}
</script>
`
