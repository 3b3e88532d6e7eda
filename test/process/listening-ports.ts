/** Which TCP ports a process listens on, also when it does not say so. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'

/** The ports of IPv4 and IPv6, in no order that means anything. */
export function listeningPorts(pid: number): number[] {
  const own = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => targetOf(`/proc/${pid}/fd/${fd}`)))
  const rows = ['tcp', 'tcp6'].flatMap((name) =>
    readFileSync(`/proc/${pid}/net/${name}`, 'utf8').split('\n').slice(1),
  )
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === LISTEN && own.has(`socket:[${inode}]`))
    .map(([, local]) => parseInt(local!.split(':')[1]!, 16))
}

/** Empty when the descriptor is closed by now. */
function targetOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

const LISTEN = '0A'
