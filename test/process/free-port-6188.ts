/** Preloaded with `node --import`: a program that binds port 6188 gets a free port instead. */
import { createRequire } from 'node:module'

interface Koffi {
  load(path: null): { func(name: string, result: string, args: string[]): unknown }
}

type Bind = (fd: number, address: Buffer, length: number) => number

const koffi = createRequire(import.meta.url)('koffi') as Koffi
const load = koffi.load.bind(koffi)

koffi.load = (path) => {
  const library = load(path)
  return {
    func: (name, result, args) => {
      const call = library.func(name, result, args)
      return name === 'bind' ? bindElsewhere(call as Bind) : call
    },
  }
}

/** The port stands third and fourth in a socket address. */
function bindElsewhere(bind: Bind): Bind {
  return (fd, address, length) => {
    if (address.readUInt16BE(2) === 6188) address.writeUInt16BE(0, 2)
    return bind(fd, address, length)
  }
}
