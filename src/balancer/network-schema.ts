/** The keys about the network below HTTP: who may connect, PROXY headers, sockets, the way to backends. */
import type { z } from 'zod'
import { IpSet, parseIp } from '../collections/index.js'
import {
  booleanField,
  choiceField,
  durationField,
  field,
  integerField,
  sizeField,
  textField,
  zod,
} from '../configuration/index.js'
import { parseHostAddress } from '../transport/index.js'
import type { ListenerSettings } from '../proxy/index.js'
import type {
  BindTo,
  ConnectProxyOptions,
  ListenerSocketOptions,
  PeerOptions,
  PeerSocketOptions,
  ProxyProtocolOptions,
  SocketOptions,
} from '../transport/index.js'

/** Keys of a listener. */
export interface ListenerNetworkSection {
  readonly proxy_protocol?: boolean | ProxyProtocolOptions | undefined
  readonly allow?: readonly string[] | undefined
  readonly deny?: readonly string[] | undefined
  readonly tcp?: ListenerTcpSection | undefined
}

/** Keys of an upstream. */
export interface UpstreamNetworkSection {
  readonly proxy_protocol?: 'v1' | 'v2' | undefined
  readonly proxy?: ConnectProxySection | undefined
  readonly bind_to?: BindToSection | undefined
  readonly tcp?: PeerTcpSection | undefined
}

/** `proxy` of an upstream. */
export interface ConnectProxySection {
  readonly address: string
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** `bind_to` of an upstream. */
export interface BindToSection {
  readonly address?: string | undefined
  readonly ports?: readonly [number, number] | undefined
  readonly fallback?: boolean | undefined
}

/** `tcp`, whichever side opens the connection; times in ms, sizes in bytes. */
export interface TcpSection {
  readonly keepalive?: KeepaliveSection | undefined
  readonly dscp?: number | undefined
  readonly receive_buffer?: number | undefined
  readonly send_buffer?: number | undefined
}

/** `tcp` of a listener. */
export interface ListenerTcpSection extends TcpSection {
  readonly fast_open?: number | undefined
  readonly reuse_port?: boolean | undefined
  readonly ipv6_only?: boolean | undefined
}

/** `tcp` of an upstream. */
export interface PeerTcpSection extends TcpSection {
  readonly fast_open?: boolean | undefined
}

/** `tcp.keepalive`; times in ms. */
export interface KeepaliveSection {
  readonly idle?: number | undefined
  readonly interval?: number | undefined
  readonly count?: number | undefined
  readonly user_timeout?: number | undefined
}

/** What the keys of a listener mean; `undefined` when there are none. */
export function listenerNetwork(
  section: ListenerNetworkSection,
): Omit<ListenerSettings, 'h2c' | 'tls'> | undefined {
  const { proxy_protocol, allow, deny, tcp } = section
  const settings = {
    ...(proxy_protocol !== undefined &&
      proxy_protocol !== false && { proxyProtocol: proxy_protocol }),
    ...(allow && { allow }),
    ...(deny && { deny }),
    ...(tcp && { socket: listenerSocket(tcp) }),
  }
  return Object.keys(settings).length === 0 ? undefined : settings
}

/** What the keys of an upstream mean; `undefined` when there are none. */
export function upstreamNetwork(
  section: UpstreamNetworkSection,
): Pick<PeerOptions, 'bindTo' | 'proxy' | 'proxyProtocol' | 'socket'> | undefined {
  const { proxy_protocol, proxy, bind_to, tcp } = section
  const settings = {
    ...(proxy_protocol && { proxyProtocol: proxy_protocol === 'v1' ? (1 as const) : (2 as const) }),
    ...(proxy && { proxy: connectProxy(proxy) }),
    ...(bind_to && { bindTo: bindTo(bind_to) }),
    ...(tcp && { socket: peerSocket(tcp) }),
  }
  return Object.keys(settings).length === 0 ? undefined : settings
}

function connectProxy({ address, headers }: ConnectProxySection): ConnectProxyOptions {
  return { address, ...(headers && { headers }) }
}

function bindTo({ address, ports, fallback }: BindToSection): BindTo {
  return {
    ...(address !== undefined && { address }),
    ...(ports && { ports }),
    ...(fallback !== undefined && { fallback }),
  }
}

function listenerSocket(section: ListenerTcpSection): ListenerSocketOptions {
  const { fast_open, reuse_port, ipv6_only } = section
  return {
    ...commonSocket(section),
    ...(fast_open !== undefined && { tcpFastOpen: fast_open }),
    ...(reuse_port !== undefined && { reusePort: reuse_port }),
    ...(ipv6_only !== undefined && { ipv6Only: ipv6_only }),
  }
}

function peerSocket(section: PeerTcpSection): PeerSocketOptions {
  const { fast_open } = section
  return { ...commonSocket(section), ...(fast_open !== undefined && { tcpFastOpen: fast_open }) }
}

function commonSocket(section: TcpSection): SocketOptions {
  const { keepalive, dscp, receive_buffer, send_buffer } = section
  return {
    ...(keepalive && { tcpKeepalive: keepaliveOf(keepalive) }),
    ...(dscp !== undefined && { dscp }),
    ...(receive_buffer !== undefined && { receiveBufferBytes: receive_buffer }),
    ...(send_buffer !== undefined && { sendBufferBytes: send_buffer }),
  }
}

function keepaliveOf(section: KeepaliveSection): NonNullable<SocketOptions['tcpKeepalive']> {
  const { idle, interval, count, user_timeout } = section
  return {
    ...(idle !== undefined && { idleMs: idle }),
    ...(interval !== undefined && { intervalMs: interval }),
    ...(count !== undefined && { count }),
    ...(user_timeout !== undefined && { userTimeoutMs: user_timeout }),
  }
}

/** The shape of {@link ListenerNetworkSection}. */
export function listenerNetworkShape(): {
  readonly [Key in keyof Required<ListenerNetworkSection>]: z.ZodType<ListenerNetworkSection[Key]>
} {
  const z = zod()
  return {
    proxy_protocol: proxyProtocolField().optional(),
    allow: z.array(networkField()).min(1, 'empty; expected who may connect').optional(),
    deny: z.array(networkField()).optional(),
    tcp: z
      .strictObject({
        ...tcpShape(),
        fast_open: integerField(0, 65_535).optional(),
        reuse_port: booleanField().optional(),
        ipv6_only: booleanField().optional(),
      })
      .optional(),
  }
}

/** The shape of {@link UpstreamNetworkSection}. */
export function upstreamNetworkShape(): {
  readonly [Key in keyof Required<UpstreamNetworkSection>]: z.ZodType<UpstreamNetworkSection[Key]>
} {
  const z = zod()
  const port = integerField(1, 65_535)
  return {
    proxy_protocol: choiceField(['v1', 'v2']).optional(),
    proxy: z
      .strictObject({
        address: proxyAddressField(),
        headers: z.record(z.string(), textField()).optional(),
      })
      .optional(),
    bind_to: z
      .strictObject({
        address: ipField().optional(),
        ports: z
          .tuple([port, port])
          .refine(([low, high]) => low <= high, 'expected the lower port first')
          .optional(),
        fallback: booleanField().optional(),
      })
      .optional(),
    tcp: z.strictObject({ ...tcpShape(), fast_open: booleanField().optional() }).optional(),
  }
}

/** An address or a network, or `unix:` for the clients of unix sockets. */
export function networkField(): z.ZodType<string> {
  return field('an IP address, a network such as 10.0.0.0/8, or unix:', (value) => {
    if (typeof value !== 'string') return undefined
    new IpSet([value])
    return value
  })
}

function tcpShape(): {
  readonly [Key in keyof Required<TcpSection>]: z.ZodType<TcpSection[Key]>
} {
  const z = zod()
  const seconds = durationField(1_000).refine((ms) => ms % 1_000 === 0, 'expected whole seconds')
  return {
    keepalive: z
      .strictObject({
        idle: seconds.optional(),
        interval: seconds.optional(),
        count: integerField(1, 127).optional(),
        user_timeout: durationField().optional(),
      })
      .optional(),
    dscp: integerField(0, 63).optional(),
    receive_buffer: sizeField(1, MAX_BUFFER_BYTES).optional(),
    send_buffer: sizeField(1, MAX_BUFFER_BYTES).optional(),
  }
}

function proxyProtocolField(): z.ZodType<boolean | ProxyProtocolOptions> {
  return field('true, false or { trusted: [10.0.0.0/8] }', (value) => {
    if (typeof value === 'boolean') return value
    if (typeof value !== 'object' || value === null) return undefined
    const { trusted, ...others } = value as { readonly trusted?: unknown }
    const isList = Array.isArray(trusted) && trusted.every((entry) => typeof entry === 'string')
    if (!isList || Object.keys(others).length > 0) return undefined
    new IpSet(trusted)
    return { trusted }
  })
}

function proxyAddressField(): z.ZodType<string> {
  return field('HOST:PORT, [IPV6]:PORT or unix:/PATH', (value) => {
    if (typeof value !== 'string') return undefined
    parseHostAddress(value)
    return value
  })
}

function ipField(): z.ZodType<string> {
  return field('an IP address', (value) =>
    typeof value === 'string' && parseIp(value) !== null ? value : undefined,
  )
}

/** The kernel doubles it for its own needs. */
const MAX_BUFFER_BYTES = 2 ** 30 - 1
