/** `pingora-ts/shared-memory`: what the threads of one process count together. */
export { SharedCounter } from './shared-counter.js'
export type { SharedCounterOptions } from './shared-counter.js'
export type { SharedRegistry } from './shared-registry.js'
