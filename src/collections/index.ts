/** `pingora-ts/collections`: containers. */
export { formatIp, parseIp } from './ip-address.js'
export { IpSet } from './ip-set.js'
export { Link, LinkedSet } from './linked-set.js'
export { LruMap } from './lru-map.js'
