/** Reads the ready-made balancer's configuration file into settings. */
import {
  ConfigDocument,
  readCertificates,
  readPrivateKey,
  throwProblems,
  validateDocument,
} from '../configuration/index.js'
import type { ConfigProblem } from '../configuration/index.js'
import { ProxyError } from '../error/index.js'
import { ServerConf } from '../server/index.js'
import { BALANCER_DEFAULTS } from './balancer-settings.js'
import type {
  BalancerListener,
  BalancerSettings,
  ClientLimits,
  ForwardingSettings,
  HostHeader,
  UpstreamSettings,
  UpstreamTls,
} from './balancer-settings.js'
import { BALANCER_KEYS, balancerSchema } from './balancer-schema.js'
import type {
  BalancerSections,
  ListenerSection,
  TlsSection,
  UpstreamSection,
} from './balancer-schema.js'
import { listenerNetwork, upstreamNetwork } from './network-schema.js'
import { readListenerTls } from './read-listener-tls.js'
import { readNamedFile } from './read-named-file.js'

/** A configuration file, resolved. */
export interface BalancerFile {
  /** The server's own keys. */
  readonly conf: ServerConf
  /** The balancer's sections. */
  readonly settings: BalancerSettings
}

/**
 * Reads a file, and the certificates that it names.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` with every problem and its place.
 */
export function loadBalancerFile(path: string): BalancerFile {
  return readBalancer(ConfigDocument.load(path))
}

/** Reads a document, and the certificates that it names. @throws as {@link loadBalancerFile}. */
export function readBalancer(document: ConfigDocument): BalancerFile {
  const problems: ConfigProblem[] = []
  const conf = ServerConf.read(document, problems, BALANCER_KEYS)
  const sections = validateDocument(document, balancerSchema(), problems)
  const settings = sections && resolveSections(document, sections, problems)
  throwProblems(problems)
  if (conf && settings) return { conf, settings }
  throw new ProxyError('PGR_CONFIGURATION_INVALID', `${document.file}: not valid`)
}

function resolveSections(
  document: ConfigDocument,
  sections: BalancerSections,
  problems: ConfigProblem[],
): BalancerSettings | undefined {
  const [only, ...others] = Object.entries(sections.upstreams)
  if (!only || others.length > 0) {
    const text = `got ${others.length + (only ? 1 : 0)} upstreams; expected exactly one, because routes are not available yet`
    problems.push(document.problem(['upstreams'], text))
    return undefined
  }
  checkListeners(document, sections, problems)
  const { per_listener, per_client } = sections.max_connections ?? {}
  const { header, body, write } = sections.client_timeouts ?? {}
  const { abortOnClose, clientTimeouts, maxConnections } = BALANCER_DEFAULTS
  return {
    listeners: sections.listeners.map((section, index) =>
      resolveListener(document, section, index, problems),
    ),
    upstream: resolveUpstream(document, only[0], only[1], problems),
    forwarding: resolveForwarding(sections),
    maxConnections: {
      perListener: per_listener ?? maxConnections.perListener,
      perClient: per_client ?? maxConnections.perClient,
    },
    limits: resolveLimits(sections),
    clientTimeouts: {
      headerMs: header ?? clientTimeouts.headerMs,
      bodyMs: body ?? clientTimeouts.bodyMs,
      writeMs: write ?? clientTimeouts.writeMs,
    },
    abortOnClose: sections.abort_on_close ?? abortOnClose,
  }
}

function resolveListener(
  document: ConfigDocument,
  section: ListenerSection,
  index: number,
  problems: ConfigProblem[],
): BalancerListener {
  const { address, tls, h2c = false } = section
  const network = listenerNetwork(section)
  return {
    address: resolveUnixPath(document, address),
    tls: tls && readListenerTls(document, index, tls, problems),
    h2c,
    ...(network && { network }),
  }
}

function checkListeners(
  document: ConfigDocument,
  { listeners }: BalancerSections,
  problems: ConfigProblem[],
): void {
  for (const [index, { address }] of listeners.entries()) {
    const first = listeners.findIndex((listener) => listener.address === address)
    if (first < index && !address.endsWith(':0')) {
      const text = `"${address}" is the address of listeners[${first}] already; expected another`
      problems.push(document.problem(['listeners', index, 'address'], text))
    }
  }
}

function resolveUpstream(
  document: ConfigDocument,
  name: string,
  section: UpstreamSection,
  problems: ConfigProblem[],
): UpstreamSettings {
  const { healthCheck, retries, timeouts } = BALANCER_DEFAULTS
  const check = section.health_check
  const times = section.timeouts ?? {}
  const { proxy } = section
  const network = upstreamNetwork({
    ...section,
    ...(proxy && { proxy: { ...proxy, address: resolveUnixPath(document, proxy.address) } }),
  })
  const { protocol = 'http1', grpc_web: grpcWeb = false } = section
  const contradiction = PROTOCOL_FAULTS[protocol]?.[section.tls === undefined ? 'plain' : 'tls']
  if (contradiction !== undefined)
    problems.push(document.problem(['upstreams', name, 'protocol'], contradiction))
  if (grpcWeb && protocol === 'http1') {
    const text = 'gRPC is HTTP/2; expected protocol: h2, h2c or auto beside it'
    problems.push(document.problem(['upstreams', name, 'grpc_web'], text))
  }
  return {
    name,
    backends: section.backends.map(({ address, weight }) => ({
      address: resolveUnixPath(document, address),
      weight: weight ?? 1,
    })),
    balance: section.balance ?? 'round_robin',
    hostHeader: hostHeaderOf(section.host_header),
    protocol,
    maxH2Streams: section.max_h2_streams ?? BALANCER_DEFAULTS.maxH2Streams,
    grpcWeb,
    tls: section.tls && resolveTls(document, name, section.tls, problems),
    healthCheck: check && {
      intervalMs: check.interval ?? healthCheck.intervalMs,
      timeoutMs: check.timeout ?? healthCheck.timeoutMs,
      consecutiveSuccess: check.consecutive_success ?? healthCheck.consecutiveSuccess,
      consecutiveFailure: check.consecutive_failure ?? healthCheck.consecutiveFailure,
    },
    retries: {
      max: section.retries?.max ?? retries.max,
      on: section.retries?.on ?? retries.on,
    },
    timeouts: {
      connectMs: times.connect ?? timeouts.connectMs,
      totalConnectMs: times.total_connect ?? timeouts.totalConnectMs,
      readMs: times.read ?? timeouts.readMs,
      writeMs: times.write ?? timeouts.writeMs,
      idleMs: times.idle ?? timeouts.idleMs,
      tunnelMs: times.tunnel ?? timeouts.tunnelMs,
    },
    ...(network && { network }),
    maxIdle: section.keepalive?.max_idle,
  }
}

/** What a protocol does not go with. */
const PROTOCOL_FAULTS: Readonly<
  Record<string, { readonly plain?: string; readonly tls?: string } | undefined>
> = Object.freeze({
  h2: { plain: '"h2" is agreed on in the TLS handshake; expected tls beside it, or h2c' },
  h2c: { tls: '"h2c" is HTTP/2 in the clear; expected h2 beside tls' },
})

function resolveTls(
  document: ConfigDocument,
  upstream: string,
  section: TlsSection,
  problems: ConfigProblem[],
): UpstreamTls {
  const read = (key: 'ca' | 'cert' | 'key', reader: (path: string) => string): string | undefined =>
    readNamedFile(document, ['upstreams', upstream, 'tls', key], section[key], reader, problems)
  if ((section.cert === undefined) !== (section.key === undefined)) {
    const text = 'cert and key belong together; expected both or neither'
    problems.push(document.problem(['upstreams', upstream, 'tls'], text))
  }
  const ca = read('ca', readCertificates)
  const cert = read('cert', readCertificates)
  const key = cert === undefined ? undefined : read('key', (path) => readPrivateKey(path, cert))
  return {
    sni: section.sni,
    verify: section.verify ?? true,
    ca: ca === undefined ? undefined : Buffer.from(ca),
    identity:
      cert === undefined || key === undefined
        ? undefined
        : { cert: Buffer.from(cert), key: Buffer.from(key) },
  }
}

function resolveForwarding({ forwarding = {} }: BalancerSections): ForwardingSettings {
  const defaults = BALANCER_DEFAULTS.forwarding
  return {
    xForwarded: forwarding.x_forwarded ?? defaults.xForwarded,
    via: forwarding.via ?? defaults.via,
    forwarded: forwarding.forwarded ?? defaults.forwarded,
    trustedProxies: forwarding.trusted_proxies ?? defaults.trustedProxies,
  }
}

function resolveLimits({ limits = {} }: BalancerSections): ClientLimits {
  const defaults = BALANCER_DEFAULTS.limits
  return {
    maxRequestLineBytes: limits.request_line ?? defaults.maxRequestLineBytes,
    maxHeaderBytes: limits.headers ?? defaults.maxHeaderBytes,
    maxHeaders: limits.header_count ?? defaults.maxHeaders,
    maxRetryBytes: limits.retry_buffer ?? defaults.maxRetryBytes,
  }
}

/** `upstream` or a fixed name, as the file and the command line write it. */
export function hostHeaderOf(text: string | undefined): HostHeader | undefined {
  return text === undefined || text === 'upstream' ? text : { name: text }
}

/** Paths in a file are relative to the file, those of sockets too. */
function resolveUnixPath(document: ConfigDocument, address: string): string {
  const path = address.startsWith('unix:') ? address.slice('unix:'.length) : undefined
  return path === undefined ? address : `unix:${document.resolvePath(path)}`
}
