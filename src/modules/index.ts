/** `pingora-ts/modules`: pieces of HTTP that a proxy adds between its clients and its hooks. */
export { GrpcWeb } from './grpc-web.js'
export type { BodyVerdict, HttpModule, HttpModuleBuilder, ModuleClass } from './http-module.js'
export { HttpModules, ModuleContext } from './http-modules.js'
