/** `pingora-ts/collections`: bounded containers. */
export { LruMap } from './lru-map.js'
