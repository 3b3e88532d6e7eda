/** What higher parts need of the operating system: libc, sockets by descriptor, io_uring. */
export { IoUring, SLOT_NONE } from './io-uring.js'
export type { Completion } from './io-uring.js'
export { loadLibc } from './libc.js'
export type { Libc } from './libc.js'
export { Memory } from './memory.js'
export { Sockets } from './sockets.js'
export type { IoVector, SocketName } from './sockets.js'
