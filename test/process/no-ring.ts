/** Preloaded by a test: the kernel refuses io_uring; with `NO_HANDLES` Node hides its TCP handles too. */
import { replaceCall } from './replace-call.js'

type SystemCall = (number: number, ...rest: unknown[]) => number

const SYS_IO_URING_SETUP = 425

replaceCall<SystemCall>('syscall', (call) => (number, ...rest) => {
  return number === SYS_IO_URING_SETUP ? -1 : call(number, ...rest)
})

if (process.env['NO_HANDLES'] !== undefined) Reflect.deleteProperty(process, 'binding')
