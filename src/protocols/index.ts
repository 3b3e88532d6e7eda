/** `pingora-ts/protocols`: wire formats, pure and byte-fed. */
export * from './h1/index.js'
export * from './proxy-protocol/index.js'
export * from './grpc-web/index.js'
