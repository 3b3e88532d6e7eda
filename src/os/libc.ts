/** The C library, called through koffi: what Node has no API for. Linux only, loaded on first use. */
import { createRequire } from 'node:module'
import { platform } from 'node:os'

/** A function of libc: numbers and memory in, a number out, -1 with an `errno` when it failed. */
type Call<Arguments extends unknown[]> = (...args: Arguments) => number

/** The functions that are used, with the names and the order of arguments of their man pages. */
export interface Libc {
  readonly socket: Call<[domain: number, type: number, protocol: number]>
  readonly bind: Call<[fd: number, address: Uint8Array, length: number]>
  readonly listen: Call<[fd: number, backlog: number]>
  readonly shutdown: Call<[fd: number, how: number]>
  readonly close: Call<[fd: number]>
  readonly accept4: Call<[fd: number, address: null, length: null, flags: number]>
  readonly connect: Call<[fd: number, address: Uint8Array, length: number]>
  readonly fcntl: Call<[fd: number, operation: number, argument: number]>
  readonly getsockopt: Call<
    [fd: number, level: number, name: number, value: Uint8Array, length: Uint8Array]
  >
  readonly recv: Call<[fd: number, bytes: Uint8Array, length: number, flags: number]>
  readonly recvmsg: Call<[fd: number, message: Uint8Array, flags: number]>
  readonly dup2: Call<[fd: number, to: number]>
  /** Returns its error, not -1. */
  readonly pthreadSigmask: Call<[how: number, signals: Uint8Array, before: null]>
  readonly setsockopt: Call<
    [fd: number, level: number, name: number, value: Uint8Array, length: number]
  >
  readonly getsockname: Call<[fd: number, address: Uint8Array, length: Uint8Array]>
  readonly getpeername: Call<[fd: number, address: Uint8Array, length: Uint8Array]>
  readonly sendmsg: Call<[fd: number, message: Uint8Array, flags: number]>
  readonly eventfd: Call<[initial: number, flags: number]>
  readonly inetPton: Call<[family: number, text: string, address: Uint8Array]>
  readonly ifNametoindex: Call<[name: string]>
  readonly ioUringSetup: Call<[number: number, entries: number, parameters: Uint8Array]>
  readonly ioUringEnter: Call<
    [
      number: number,
      fd: number,
      toSubmit: number,
      minComplete: number,
      flags: number,
      signals: null,
      size: number,
    ]
  >
  readonly ioUringRegister: Call<
    [number: number, fd: number, operation: number, argument: Uint8Array, count: number]
  >
  /** The address of mapped memory; its failure is -1 too, as an address. */
  readonly mmap: (
    address: null,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ) => unknown
  readonly munmap: (address: number, length: number) => number
  /** The error number of the last call that failed. */
  errno(): number
  /** Where the bytes of `memory` are. They must not be on V8's heap: see `Memory`. */
  addressOf(memory: Uint8Array): number
  /** The memory at a pointer that a call has returned. */
  viewOf(pointer: unknown, length: number): ArrayBuffer
}

/** libc, or `null` where there is no Linux or no koffi for this machine. Loads it on the first call. */
export function loadLibc(): Libc | null {
  loaded ??= { libc: open() }
  return loaded.libc
}

let loaded: { readonly libc: Libc | null } | null = null

function open(): Libc | null {
  if (platform() !== 'linux') return null
  try {
    return bindFunctions(require('koffi') as Koffi)
  } catch {
    return null
  }
}

const require = createRequire(import.meta.url)

/** The little of koffi that is used; its own types would make every part above depend on them. */
interface Koffi {
  load(path: null): { func(name: string, result: string, args: string[]): unknown }
  errno(): number
  address(value: Uint8Array): bigint
  view(pointer: unknown, length: number): ArrayBuffer
}

function bindFunctions(koffi: Koffi): Libc {
  const own = koffi.load(null)
  // Each is what the interface says that it is; the compiler cannot know.
  const int = (name: string, args: string): never => own.func(name, 'int', args.split(' ')) as never
  // The three calls of io_uring have no wrapper in libc: `syscall` takes their number first.
  const syscall = (args: string): never => own.func('syscall', 'long', args.split(' ')) as never
  return {
    socket: int('socket', 'int int int'),
    bind: int('bind', 'int void* uint32_t'),
    listen: int('listen', 'int int'),
    shutdown: int('shutdown', 'int int'),
    close: int('close', 'int'),
    accept4: int('accept4', 'int void* void* int'),
    connect: int('connect', 'int void* uint32_t'),
    fcntl: int('fcntl', 'int int int'),
    getsockopt: int('getsockopt', 'int int int void* void*'),
    dup2: int('dup2', 'int int'),
    pthreadSigmask: int('pthread_sigmask', 'int void* void*'),
    setsockopt: int('setsockopt', 'int int int void* uint32_t'),
    getsockname: int('getsockname', 'int void* void*'),
    getpeername: int('getpeername', 'int void* void*'),
    sendmsg: own.func('sendmsg', 'long', ['int', 'void*', 'int']) as never,
    recv: own.func('recv', 'long', ['int', 'void*', 'size_t', 'int']) as never,
    recvmsg: own.func('recvmsg', 'long', ['int', 'void*', 'int']) as never,
    eventfd: int('eventfd', 'uint32_t int'),
    inetPton: int('inet_pton', 'int str void*'),
    ifNametoindex: int('if_nametoindex', 'str'),
    ioUringSetup: syscall('long uint32_t void*'),
    ioUringEnter: syscall('long int uint32_t uint32_t uint32_t void* size_t'),
    ioUringRegister: syscall('long int uint32_t void* uint32_t'),
    mmap: own.func('mmap', 'void*', ['void*', 'size_t', 'int', 'int', 'int', 'int64_t']) as never,
    munmap: own.func('munmap', 'int', ['uintptr_t', 'size_t']) as never,
    errno: () => koffi.errno(),
    addressOf: (memory) => Number(koffi.address(memory)),
    viewOf: (pointer, length) => koffi.view(pointer, length),
  }
}
