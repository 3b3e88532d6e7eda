/** gRPC-Web on the wire: what of it is not gRPC. */
export { Base64Decoder } from './base64-decoder.js'
export { grpcTypeOf, isGrpcType, readGrpcWebType, webTypeOf } from './content-type.js'
export type { GrpcWebType } from './content-type.js'
export { encodeTrailersFrame } from './trailers-frame.js'
