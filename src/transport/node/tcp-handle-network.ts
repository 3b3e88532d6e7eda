/** Dialling and accepting TCP on handles, for the connections that carry the most requests. */
import type { Server } from 'node:net'
import { isIPv6 } from 'node:net'
import type { ProxyError } from '../../error/index.js'
import { formatAddress } from '../address.js'
import type { SocketAddress } from '../address.js'
import type { DialOptions } from '../environment.js'
import { dialError } from './system-errors.js'
import { UV_EADDRNOTAVAIL, statusError } from './tcp-binding.js'
import type { SocketName, TcpBinding, TcpHandle } from './tcp-binding.js'

/** An address of a TCP socket. */
export type IpAddress = Extract<SocketAddress, { kind: 'ip' }>

/**
 * Connects a handle; it is not reading. When it fails or the signal fires, nothing stays open.
 * @throws {@link ProxyError} (rejects) as `Network.dial` does.
 */
export function dialHandle(
  binding: TcpBinding,
  address: IpAddress,
  { localAddress, signal }: DialOptions,
): Promise<TcpHandle> {
  const handle = binding.createSocket()
  return new Promise((resolve, reject) => {
    const giveUp = (error: Error): void => {
      signal?.removeEventListener('abort', onAbort)
      handle.close(ignore)
      reject(error)
    }
    const onAbort = (): void => {
      giveUp(signal?.reason as Error)
    }
    const request = new binding.ConnectRequest()
    request.oncomplete = (status) => {
      if (signal?.aborted === true) return
      if (status < 0) {
        giveUp(refused(address, status, 'connect'))
        return
      }
      signal?.removeEventListener('abort', onAbort)
      handle.setNoDelay(true)
      resolve(handle)
    }
    const bound = localAddress === undefined ? 0 : bindHandle(handle, localAddress, address)
    if (bound < 0) {
      giveUp(refused(address, bound, 'bind'))
      return
    }
    const status = connectHandle(handle, request, address)
    if (status < 0) giveUp(refused(address, status, 'connect'))
    else signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * Takes over what a listening server accepts, before `net.Socket`s are made of it. Returns false,
 * and changes nothing, when the server has no handle of the known shape.
 */
export function acceptHandles(server: Server, onHandle: (handle: TcpHandle) => void): boolean {
  const { _handle: handle } = server as unknown as { readonly _handle?: AcceptingHandle | null }
  if (handle === undefined || handle === null || typeof handle.onconnection !== 'function')
    return false
  const { onconnection } = handle
  handle.onconnection = function (status, client) {
    // Failed accepts stay with the server, which reports them as its errors.
    if (status < 0 || client === undefined) {
      onconnection.call(this, status, client)
      return
    }
    client.setNoDelay(true)
    onHandle(client)
  }
  return true
}

/** One end of a connected handle, as `[address, port]`; empty when the peer is gone already. */
export function endOf(
  handle: TcpHandle,
  end: 'getpeername' | 'getsockname',
): readonly [string, number] {
  const name: SocketName = {}
  handle[end](name)
  return [name.address ?? '', name.port ?? 0]
}

function connectHandle(
  handle: TcpHandle,
  request: Parameters<TcpHandle['connect']>[0],
  { host, port }: IpAddress,
): number {
  return isIPv6(host) ? handle.connect6(request, host, port) : handle.connect(request, host, port)
}

/** An address of the other family can be bound, but then not connected from. */
function bindHandle(handle: TcpHandle, local: string, { host }: IpAddress): number {
  if (isIPv6(local) !== isIPv6(host)) return UV_EADDRNOTAVAIL
  return isIPv6(local) ? handle.bind6(local, 0, 0) : handle.bind(local, 0)
}

function refused(address: IpAddress, status: number, syscall: string): ProxyError {
  return dialError(formatAddress(address), statusError(status, syscall))
}

/** A listening handle; Node calls `onconnection` for every accepted connection. */
interface AcceptingHandle {
  onconnection: (this: unknown, status: number, client: TcpHandle | undefined) => void
}

function ignore(): void {
  // The handle is gone; nobody waits for that.
}
