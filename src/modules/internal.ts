/** What `proxy/` needs of the modules besides their names. */
export { chosen } from './body-chain.js'
export { NO_MODULES } from './http-modules.js'
export { ModuleSession } from './module-session.js'
