/** Reads a `--to` URL. */
import { describeValue } from '../configuration/index.js'
import { ProxyError } from '../error/index.js'
import { parseHostAddress } from '../transport/index.js'
import { UsageError } from './usage.js'

/** Where `--to` leads. */
export interface Target {
  /** `HOST:PORT` or `unix:/PATH`. */
  readonly address: string
  /** Whether TLS is spoken. */
  readonly tls: boolean
  /** What is spoken. */
  readonly protocol: 'http1' | 'h2c'
}

/**
 * Reads `http://HOST[:PORT]`, `https://HOST[:PORT]`, `h2c://HOST[:PORT]`, `unix:/PATH` or `HOST:PORT`.
 * @throws {@link UsageError} for anything else.
 */
export function parseTarget(text: string): Target {
  const url = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(text)
  if (!url) return { address: checked(text, text), tls: false, protocol: 'http1' }
  const scheme = url[1]!.toLowerCase()
  const defaultPort = DEFAULT_PORTS.get(scheme)
  if (defaultPort === undefined) {
    throw new UsageError(
      `--to ${describeValue(text)}: expected http://, https://, h2c://, unix: or HOST:PORT`,
    )
  }
  // A path would have to be put before that of every request, which nobody asks for by mistake.
  const authority = url[2]!.replace(/\/$/, '')
  if (/[/?#@]/.test(authority)) {
    throw new UsageError(
      `--to ${describeValue(text)}: expected a host and a port, and nothing after them`,
    )
  }
  const hasPort = /:\d+$/.test(authority.replace(/^\[.*\]/, 'host'))
  return {
    address: checked(hasPort ? authority : `${authority}:${defaultPort}`, text),
    tls: scheme === 'https',
    protocol: scheme === 'h2c' ? 'h2c' : 'http1',
  }
}

function checked(address: string, text: string): string {
  try {
    const parsed = parseHostAddress(address)
    if (parsed.kind === 'unix' || parsed.port > 0) return address
  } catch (thrown) {
    if (!(thrown instanceof ProxyError)) throw thrown
    throw new UsageError(`--to ${describeValue(text)}: ${thrown.message}`)
  }
  throw new UsageError(`--to ${describeValue(text)}: a port from 1 is needed`)
}

const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
  ['h2c', 80],
])
