/** Preloaded with `node --import`: a program that listens on port 6188 gets a free port instead. */
import { Server } from 'node:net'

const listen = Reflect.get(Server.prototype, 'listen')

Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
  const [options] = args
  const isDocumented =
    typeof options === 'object' && options !== null && Reflect.get(options, 'port') === 6188
  return Reflect.apply(
    listen,
    this,
    isDocumented ? [{ ...options, port: 0 }, ...args.slice(1)] : args,
  ) as Server
}
