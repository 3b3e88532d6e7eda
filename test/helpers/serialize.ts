/** Writes decoded messages again, as the sessions do, so that what comes out can be judged. */
import type { RequestHead, ResponseHead } from '../../src/protocols/h1/index.js'
import {
  CHUNKED,
  CHUNK_END,
  UNTIL_CLOSE,
  chunkStart,
  declaredLength,
  lastChunk,
  writeRequestHead,
  writeResponseHead,
} from '../../src/protocols/h1/index.js'
import { HeaderMap } from '../../src/http/index.js'
import type { Message } from './decode-stream.js'

/** A request as an upstream gets it. */
export function serializeRequest({ head, body, trailers }: Message<RequestHead>): string {
  const header = head.header.clone()
  // What the pipeline does for HTTP/1.0 clients: the peer's name.
  if (!header.headers.has('host')) header.insertHeader('Host', 'peer.test')
  const length = declaredLength(header.headers, head.bodyLength)
  return writeRequestHead(header, length, 'default') + serializeBody(body, length, trailers)
}

/** A response as a client gets it; a body that ended with the connection goes out in chunks. */
export function serializeResponse({ head, body, trailers }: Message<ResponseHead>): string {
  const hasBody = head.bodyLength !== 0
  const open = head.bodyLength === UNTIL_CLOSE ? CHUNKED : head.bodyLength
  const length = hasBody ? declaredLength(head.header.headers, open) : 0
  return writeResponseHead(head.header, length, 'default') + serializeBody(body, length, trailers)
}

function serializeBody(
  body: string,
  length: number,
  trailers: Message<unknown>['trailers'],
): string {
  if (length !== CHUNKED) return body
  let fields: HeaderMap | null = null
  for (const [name, value] of trailers ?? []) {
    fields ??= new HeaderMap()
    fields.append(name, value)
  }
  const chunk = body === '' ? '' : chunkStart(body.length) + body + CHUNK_END
  return chunk + lastChunk(fields)
}
