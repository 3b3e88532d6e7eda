/** Preloaded with `node --import`: the process can then connect to nothing beyond this machine. */

type Connect = (request: unknown, address: string, port: number) => number

/** Below plain sockets, TLS, `fetch` and our own connections lies one handle: this one. */
interface TcpHandle {
  connect: Connect
  connect6: Connect
}

const binding = Reflect.get(process, 'binding') as (name: string) => {
  readonly TCP: { readonly prototype: TcpHandle }
}
const handle = binding('tcp_wrap').TCP.prototype
handle.connect = guarded(handle.connect)
handle.connect6 = guarded(handle.connect6)

function guarded(connect: Connect): Connect {
  return function (this: TcpHandle, request, address, port) {
    if (address === '::1' || address.startsWith('127.'))
      return connect.call(this, request, address, port)
    throw new Error(`a program of the documentation must not connect to ${address}`)
  }
}
