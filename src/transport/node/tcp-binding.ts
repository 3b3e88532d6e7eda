/** The TCP handles below `node:net`, where this Node has them in the shape that we know. */
import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

/** A TCP socket as libuv's binding shows it; what `net.Socket` itself is built on. */
export interface TcpHandle {
  onread: ((this: TcpHandle, buffer: ArrayBuffer | undefined) => Buffer | undefined) | undefined
  readonly fd: number
  readonly writeQueueSize: number
  readStart(): number
  readStop(): number
  useUserBuffer(buffer: Uint8Array): void
  writeLatin1String(request: WriteRequest, text: string): number
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number
  writev(request: WriteRequest, chunks: unknown[], allBuffers: boolean): number
  shutdown(request: ShutdownRequest): number
  close(callback: () => void): void
  reset(callback: () => void): number
  setNoDelay(on: boolean): number
  getpeername(out: SocketName): number
  getsockname(out: SocketName): number
  connect(request: ConnectRequest, host: string, port: number): number
  connect6(request: ConnectRequest, host: string, port: number): number
  bind(host: string, port: number): number
  bind6(host: string, port: number, flags: number): number
}

/** An address that a handle fills in. */
export interface SocketName {
  address?: string
  port?: number
}

/** One write; it is only used up when the kernel did not take all at once. */
export interface WriteRequest {
  oncomplete: ((this: WriteRequest, status: number) => void) | undefined
  /** Keeps the bytes alive until they are sent. */
  data: unknown
}

/** One half-close. */
export interface ShutdownRequest {
  oncomplete: ((status: number) => void) | undefined
}

/** One connect. */
export interface ConnectRequest {
  oncomplete: ((status: number) => void) | undefined
}

/** The constructors, and the array in which libuv leaves the result of the last read or write. */
export interface TcpBinding {
  readonly createSocket: () => TcpHandle
  readonly ConnectRequest: new () => ConnectRequest
  readonly WriteRequest: new () => WriteRequest
  readonly ShutdownRequest: new () => ShutdownRequest
  readonly state: Int32Array
  readonly readResult: number
  readonly lastWriteWasAsync: number
}

/** What libuv reports at the end of the stream. */
export const UV_EOF = -4095
/** What libuv reports when the peer reset the connection. */
export const UV_ECONNRESET: number = -constants.errno.ECONNRESET
/** What libuv reports for a local address that cannot be used. */
export const UV_EADDRNOTAVAIL: number = -constants.errno.EADDRNOTAVAIL

/** A libuv status as the error that Node would make of it. */
export function statusError(status: number, syscall: string): NodeJS.ErrnoException {
  const [code = `errno ${status}`, text = code] = getSystemErrorMap().get(status) ?? []
  return Object.assign(new Error(`${syscall} ${code}: ${text}`), { code, errno: status, syscall })
}

/**
 * The binding, or `null` when this Node does not have it as expected: then `node:net` serves, at
 * about three more microseconds of user time per request.
 */
export function loadTcpBinding(): TcpBinding | null {
  try {
    return findBinding()
  } catch {
    return null
  }
}

function findBinding(): TcpBinding | null {
  // eslint-disable-next-line no-restricted-globals -- there is no other way to the handles
  const { binding } = process as unknown as { binding?: (name: string) => RawBindings }
  if (binding === undefined) return null
  const tcp = binding('tcp_wrap')
  const stream = binding('stream_wrap')
  const { TCP, TCPConnectWrap } = tcp
  const { WriteWrap, ShutdownWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = stream
  const isComplete =
    hasMethods(TCP) &&
    [TCPConnectWrap, WriteWrap, ShutdownWrap].every((wrap) => typeof wrap === 'function') &&
    streamBaseState instanceof Int32Array &&
    Number.isInteger(kReadBytesOrError) &&
    Number.isInteger(kLastWriteWasAsync) &&
    tcp.constants.SOCKET === 0
  if (!isComplete) return null
  return {
    createSocket: () => new TCP(tcp.constants.SOCKET),
    ConnectRequest: TCPConnectWrap,
    WriteRequest: WriteWrap,
    ShutdownRequest: ShutdownWrap,
    state: streamBaseState,
    readResult: kReadBytesOrError,
    lastWriteWasAsync: kLastWriteWasAsync,
  }
}

function hasMethods(type: RawBindings['TCP']): boolean {
  const prototype: object = type.prototype
  return METHODS.every((name) => name in prototype)
}

interface RawBindings {
  readonly TCP: (new (kind: number) => TcpHandle) & { readonly prototype: object }
  readonly TCPConnectWrap: new () => ConnectRequest
  readonly constants: { readonly SOCKET: number }
  readonly WriteWrap: new () => WriteRequest
  readonly ShutdownWrap: new () => ShutdownRequest
  readonly streamBaseState: Int32Array
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
}

const METHODS = [
  'onread',
  'fd',
  'writeQueueSize',
  'readStart',
  'readStop',
  'useUserBuffer',
  'writeLatin1String',
  'writeBuffer',
  'writev',
  'shutdown',
  'close',
  'reset',
  'setNoDelay',
  'getpeername',
  'getsockname',
  'connect',
  'connect6',
  'bind',
  'bind6',
]
