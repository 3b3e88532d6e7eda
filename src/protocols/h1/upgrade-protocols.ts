/** The protocols of an Upgrade field (RFC 9110 §7.8). */
import { isToken } from '../../http/index.js'

/**
 * Those of a list that a proxy may pass on, as they are written; `null` for none. HTTP/2 is left out:
 * its frames would go through unread, and with them whatever requests they carry. So is what is no
 * protocol at all.
 */
export function passableProtocols(list: string): string | null {
  const protocols = protocolsOf(list).filter(
    (protocol) => isProtocol(protocol) && !isHttp(protocol),
  )
  return protocols.length === 0 ? null : protocols.join(', ')
}

/** Whether an answer that names `granted` is one to a request that asked for `asked`. */
export function isGranted(granted: string | null, asked: string | null): boolean {
  if (granted === null || asked === null) return false
  const wanted = new Set(protocolsOf(asked.toLowerCase()))
  const given = protocolsOf(granted.toLowerCase())
  return given.length > 0 && given.every((protocol) => wanted.has(protocol))
}

function protocolsOf(list: string): string[] {
  return list
    .split(',')
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== '')
}

/** protocol-name ["/" protocol-version]. */
function isProtocol(protocol: string): boolean {
  const slash = protocol.indexOf('/')
  if (slash < 0) return isToken(protocol)
  return isToken(protocol.slice(0, slash)) && isToken(protocol.slice(slash + 1))
}

function isHttp(protocol: string): boolean {
  return HTTP.test(protocol)
}

/** `h2c` is what RFC 7540 called it; `h2` and `HTTP/2.0` are what some servers name in its place. */
const HTTP = /^(h2c?|http)(\/|$)/i
