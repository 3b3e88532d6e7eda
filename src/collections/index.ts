/** `pingora-ts/collections`: bounded containers. */
export { formatIp, parseIp } from './ip-address.js'
export { IpSet } from './ip-set.js'
export { LruMap } from './lru-map.js'
