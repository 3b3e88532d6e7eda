/** `GrpcWeb`: browsers' gRPC-Web on the client's side, gRPC on the upstream's. */
import type { HeaderMap, RequestHeader, ResponseHeader } from '../http/index.js'
import {
  Base64Decoder,
  encodeTrailersFrame,
  grpcTypeOf,
  readGrpcWebType,
  webTypeOf,
} from '../protocols/index.js'
import type { HttpModule } from './http-module.js'

/**
 * Turns requests of gRPC-Web, binary or text by their Content-Type, into gRPC, and the answers back:
 * trailers become the last frame of the body. Other requests pass as they are. The upstream must
 * speak HTTP/2, as gRPC does.
 */
export class GrpcWeb implements HttpModule {
  /** Set to false in `earlyRequestFilter` to pass a request of gRPC-Web as it is. */
  enabled = true
  /** Whether the request is one of gRPC-Web, and its answer of gRPC as far as is known. */
  #isActive = false
  #wantsText = false
  #decoder: Base64Decoder | null = null

  requestHeaderFilter(request: RequestHeader): void {
    const type = this.enabled ? readGrpcWebType(request.getHeader('content-type')) : null
    if (type === null) return
    this.#isActive = true
    this.#wantsText = type.isText || TEXT.test(request.getHeader('accept') ?? '')
    request.insertHeader('Content-Type', grpcTypeOf(type))
    // Servers of gRPC refuse who does not take trailers.
    request.insertHeader('TE', 'trailers')
    if (!type.isText) return
    this.#decoder = new Base64Decoder()
    request.removeHeader('content-length')
  }

  requestBodyFilter(body: Buffer | undefined): Buffer | undefined {
    if (this.#decoder === null) return undefined
    if (body !== undefined) return this.#decoder.decode(body)
    this.#decoder.end()
    return undefined
  }

  responseHeaderFilter(response: ResponseHeader): void {
    if (!this.#isActive) return
    const type = webTypeOf(response.getHeader('content-type'), this.#wantsText)
    if (type === null) {
      // What is not of gRPC, such as the error page of another proxy, says all that it says.
      this.#isActive = false
      return
    }
    response.insertHeader('Content-Type', type)
    response.removeHeader('content-length')
  }

  responseBodyFilter(body: Buffer | undefined): Buffer | undefined {
    return body && this.#isActive ? this.#encoded(body) : undefined
  }

  responseTrailerFilter(trailers: HeaderMap): Buffer | undefined {
    return this.#isActive ? this.#encoded(encodeTrailersFrame(trailers)) : undefined
  }

  /** Each piece is padded by itself, so that nothing of a message waits for what comes after it. */
  #encoded(bytes: Buffer): Buffer {
    return this.#wantsText ? Buffer.from(bytes.toString('base64'), 'latin1') : bytes
  }
}

const TEXT = /application\/grpc-web-text/i
