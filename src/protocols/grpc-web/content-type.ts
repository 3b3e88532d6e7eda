/** The media types of gRPC-Web and the ones of gRPC that they stand for. */

/** What the Content-Type of a gRPC-Web request says. */
export interface GrpcWebType {
  /** Whether the body is base64. */
  readonly isText: boolean
  /** What the messages are in, such as `+proto`, parameters included; often empty. */
  readonly suffix: string
}

/** Reads the Content-Type of a request; `null` when it is not of gRPC-Web. */
export function readGrpcWebType(contentType: string | undefined): GrpcWebType | null {
  const [, text, suffix] = GRPC_WEB.exec(contentType ?? '') ?? []
  return suffix === undefined ? null : { isText: text !== undefined, suffix }
}

/** The Content-Type of gRPC for one of gRPC-Web. */
export function grpcTypeOf({ suffix }: GrpcWebType): string {
  return `application/grpc${suffix}`
}

/** Whether a Content-Type is that of gRPC, with whatever the messages are in; gRPC-Web's is not. */
export function isGrpcType(contentType: string | undefined): boolean {
  return GRPC.test(contentType ?? '')
}

/**
 * The Content-Type of gRPC-Web for that of a gRPC response; `null` when it is not one.
 * @param isText whether the body goes as base64.
 */
export function webTypeOf(contentType: string | undefined, isText: boolean): string | null {
  const suffix = GRPC.exec(contentType ?? '')?.[1]
  return suffix === undefined ? null : `application/grpc-web${isText ? '-text' : ''}${suffix}`
}

const GRPC = /^application\/grpc((?:[+; ].*)?)$/i
const GRPC_WEB = /^application\/grpc-web(-text)?((?:[+; ].*)?)$/i
