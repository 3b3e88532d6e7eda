/** gRPC without protobuf: one service whose messages are bytes, a server of it, and its clients. */
import { Client, Metadata, Server, ServerCredentials, credentials } from '@grpc/grpc-js'
import type {
  ChannelOptions,
  ClientDuplexStream,
  ClientReadableStream,
  ClientUnaryCall,
  ClientWritableStream,
  ServiceError,
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
} from '@grpc/grpc-js'
import type { TestContext } from 'node:test'
import type { TestCertificate } from './certificates.js'

/** The four kinds of calls; those that are left out are answered with UNIMPLEMENTED. */
export interface ProbeMethods {
  readonly unary?: handleUnaryCall<Buffer, Buffer>
  readonly gather?: handleClientStreamingCall<Buffer, Buffer>
  readonly list?: handleServerStreamingCall<Buffer, Buffer>
  readonly talk?: handleBidiStreamingCall<Buffer, Buffer>
}

/** What a unary call or a client stream has come to. */
export interface Outcome {
  readonly error: ServiceError | null
  readonly value: Buffer | undefined
}

/** A server of the service that listens. */
export interface ProbeServer {
  readonly port: number
  /** Tells clients to go away, and lets what they have begun end. */
  shutDown(): Promise<void>
  /** Drops all that is open. */
  forceShutdown(): void
}

/** Starts a server, for the time of the test. @param port Default: a free one. */
export async function startProbeServer(
  t: TestContext,
  methods: ProbeMethods,
  certificate?: TestCertificate,
  port: number = 0,
): Promise<ProbeServer> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 })
  server.addService(SERVICE, { ...methods })
  const secret = certificate && [
    { private_key: Buffer.from(certificate.key), cert_chain: Buffer.from(certificate.cert) },
  ]
  const own = secret
    ? ServerCredentials.createSsl(null, secret)
    : ServerCredentials.createInsecure()
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, own, (error, boundPort) => {
      if (error === null) resolve(boundPort)
      else reject(error)
    })
  })
  t.after(() => {
    server.forceShutdown()
  })
  return {
    port: bound,
    shutDown: () =>
      new Promise((resolve) => {
        server.tryShutdown(() => {
          resolve()
        })
      }),
    forceShutdown: () => {
      server.forceShutdown()
    },
  }
}

/** A client of the service, on a connection of its own. */
export class ProbeClient {
  readonly #client: Client

  /** @param ca whose certificate is trusted. Default: the connection is in the clear. */
  constructor(t: TestContext, port: number, ca?: string, options: ChannelOptions = {}) {
    const trust = ca === undefined ? undefined : Buffer.from(ca)
    this.#client = new Client(
      `127.0.0.1:${port}`,
      trust ? credentials.createSsl(trust) : credentials.createInsecure(),
      {
        'grpc.max_receive_message_length': -1,
        'grpc.use_local_subchannel_pool': 1,
        'grpc.enable_http_proxy': 0,
        // An address is no name that a client may send.
        ...(trust && { 'grpc.ssl_target_name_override': 'localhost' }),
        ...options,
      },
    )
    t.after(() => {
      this.#client.close()
    })
  }

  /** One request, one answer. @param began gets the call. @param deadlineMs from now. */
  unary(
    request: Buffer,
    metadata: Metadata = new Metadata(),
    deadlineMs: number = CALL_MS,
    began: (call: ClientUnaryCall) => void = () => undefined,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      const options = deadlineIn(deadlineMs)
      const done = (error: ServiceError | null, value?: Buffer): void => {
        resolve({ error, value })
      }
      began(
        this.#client.makeUnaryRequest(PATHS.unary, same, same, request, metadata, options, done),
      )
    })
  }

  /** Many requests, one answer. */
  gather(): { readonly call: ClientWritableStream<Buffer>; readonly outcome: Promise<Outcome> } {
    let call: ClientWritableStream<Buffer> | undefined
    const outcome = new Promise<Outcome>((resolve) => {
      const done = (error: ServiceError | null, value?: Buffer): void => {
        resolve({ error, value })
      }
      const options = deadlineIn(CALL_MS)
      const metadata = new Metadata()
      call = this.#client.makeClientStreamRequest(PATHS.gather, same, same, metadata, options, done)
    })
    return { call: call!, outcome }
  }

  /** One request, many answers. */
  list(request: Buffer, deadlineMs: number = CALL_MS): ClientReadableStream<Buffer> {
    const options = deadlineIn(deadlineMs)
    const metadata = new Metadata()
    return this.#client.makeServerStreamRequest(PATHS.list, same, same, request, metadata, options)
  }

  /** Many of both, at the same time. */
  talk(): ClientDuplexStream<Buffer, Buffer> {
    const options = deadlineIn(CALL_MS)
    return this.#client.makeBidiStreamRequest(PATHS.talk, same, same, new Metadata(), options)
  }
}

/** Makes metadata of pairs; names that end in `-bin` have bytes. */
export function metadataOf(pairs: readonly (readonly [string, string | Buffer])[]): Metadata {
  const metadata = new Metadata()
  for (const [name, value] of pairs) metadata.add(name, value)
  return metadata
}

function same(bytes: Buffer): Buffer {
  return bytes
}

function deadlineIn(ms: number): { deadline: number } {
  return { deadline: Date.now() + ms }
}

function method(
  name: string,
  requestStream: boolean,
  responseStream: boolean,
): {
  path: string
  requestStream: boolean
  responseStream: boolean
  requestSerialize: typeof same
  requestDeserialize: typeof same
  responseSerialize: typeof same
  responseDeserialize: typeof same
} {
  return {
    path: `/test.Probe/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }
}

/** No call may hang for longer; far beyond what any takes. */
const CALL_MS = 30_000
const SERVICE = {
  unary: method('Unary', false, false),
  gather: method('Gather', true, false),
  list: method('List', false, true),
  talk: method('Talk', true, true),
}
const PATHS = {
  unary: SERVICE.unary.path,
  gather: SERVICE.gather.path,
  list: SERVICE.list.path,
  talk: SERVICE.talk.path,
}
