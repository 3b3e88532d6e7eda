/** The sections of the configuration file that are the balancer's, as zod types. */
import type { z } from 'zod'
import {
  booleanField,
  choiceField,
  durationField,
  field,
  fixedField,
  integerField,
  listOrOtherField,
  notYetField,
  sizeField,
  textField,
  zod,
} from '../configuration/index.js'
import { ProxyError } from '../error/index.js'
import { checkCiphers, parseHostAddress, parseSocketAddress } from '../transport/index.js'
import type { UpstreamProtocol } from '../transport/index.js'
import { listenerNetworkShape, networkField, upstreamNetworkShape } from './network-schema.js'
import type { ListenerNetworkSection, UpstreamNetworkSection } from './network-schema.js'

/** The sections as they stand in a file, checked one by one. */
export interface BalancerSections {
  readonly listeners: readonly ListenerSection[]
  readonly upstreams: Readonly<Record<string, UpstreamSection>>
  readonly forwarding?: ForwardingSection | undefined
  readonly max_connections?: MaxConnectionsSection | undefined
  readonly limits?: LimitsSection | undefined
  readonly client_timeouts?: ClientTimeoutsSection | undefined
  readonly abort_on_close?: boolean | undefined
}

/** One entry of `listeners`. */
export interface ListenerSection extends ListenerNetworkSection {
  readonly address: string
  readonly tls?: ListenerTlsSection | readonly CertificateSection[] | undefined
  readonly h2c?: boolean | undefined
}

/** One certificate of a listener; the paths are as written. */
export interface CertificateSection {
  readonly cert: string
  readonly key: string
  readonly ocsp?: string | undefined
}

/** `tls` of a listener; times in ms. */
export interface ListenerTlsSection {
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly ocsp?: string | undefined
  readonly certificates?: readonly CertificateSection[] | undefined
  readonly client_ca?: string | undefined
  readonly client_cert?: 'required' | 'optional' | undefined
  readonly min_version?: '1.2' | '1.3' | undefined
  readonly ciphers?: string | undefined
  readonly handshake_timeout?: number | undefined
  readonly max_handshakes?: number | undefined
  readonly ticket_key?: string | undefined
  readonly key_log?: string | undefined
}

/** One entry of `upstreams`. */
export interface UpstreamSection extends UpstreamNetworkSection {
  readonly backends: readonly { readonly address: string; readonly weight?: number | undefined }[]
  readonly balance?: 'round_robin' | 'random' | undefined
  readonly host_header?: string | undefined
  readonly protocol?: UpstreamProtocol | undefined
  readonly max_h2_streams?: number | undefined
  readonly grpc_web?: boolean | undefined
  readonly tls?: TlsSection | undefined
  readonly health_check?: HealthCheckSection | undefined
  readonly retries?: RetriesSection | undefined
  readonly timeouts?: TimeoutsSection | undefined
  readonly keepalive?: { readonly max_idle?: number | undefined } | undefined
}

/** `tls` of an upstream; the paths are as written. */
export interface TlsSection {
  readonly sni?: string | undefined
  readonly verify?: boolean | undefined
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** `health_check` of an upstream; times in ms. */
export interface HealthCheckSection {
  readonly type: 'tcp'
  readonly interval?: number | undefined
  readonly timeout?: number | undefined
  readonly consecutive_success?: number | undefined
  readonly consecutive_failure?: number | undefined
}

/** `retries` of an upstream. */
export interface RetriesSection {
  readonly max?: number | undefined
  readonly on?: readonly ('connect' | 'reset')[] | undefined
}

/** `timeouts` of an upstream; in ms. */
export interface TimeoutsSection {
  readonly connect?: number | undefined
  readonly total_connect?: number | undefined
  readonly read?: number | undefined
  readonly write?: number | undefined
  readonly idle?: number | undefined
  readonly tunnel?: number | undefined
}

/** `forwarding`. */
export interface ForwardingSection {
  readonly x_forwarded?: boolean | undefined
  readonly via?: boolean | undefined
  readonly forwarded?: boolean | undefined
  readonly trusted_proxies?: readonly string[] | undefined
}

/** `max_connections`. */
export interface MaxConnectionsSection {
  readonly per_listener?: number | undefined
  readonly per_client?: number | undefined
}

/** `limits` of requests; sizes in bytes. */
export interface LimitsSection {
  readonly request_line?: number | undefined
  readonly headers?: number | undefined
  readonly header_count?: number | undefined
  readonly retry_buffer?: number | undefined
}

/** `client_timeouts`; in ms. */
export interface ClientTimeoutsSection {
  readonly header?: number | undefined
  readonly body?: number | undefined
  readonly write?: number | undefined
}

/** All sections; other top-level keys are the server's or the user's. */
export function balancerSchema(): z.ZodType<BalancerSections> {
  const z = zod()
  return z.looseObject({
    listeners: z.array(listenerSchema()).min(1, 'empty; expected at least one listener'),
    upstreams: z.record(z.string(), upstreamSchema()),
    forwarding: z
      .strictObject({
        x_forwarded: booleanField().optional(),
        via: booleanField().optional(),
        forwarded: booleanField().optional(),
        trusted_proxies: z.array(networkField()).optional(),
      })
      .optional(),
    max_connections: z
      .strictObject({ per_listener: countField().optional(), per_client: countField().optional() })
      .optional(),
    limits: limitsSchema().optional(),
    client_timeouts: clientTimeoutsSchema().optional(),
    abort_on_close: booleanField().optional(),
    routes: notYetField(),
    access_log: notYetField(),
    admin: notYetField(),
  })
}

/** The balancer's top-level keys. */
export const BALANCER_KEYS: readonly string[] = Object.freeze([
  'listeners',
  'upstreams',
  'forwarding',
  'max_connections',
  'limits',
  'client_timeouts',
  'abort_on_close',
  'routes',
  'access_log',
  'admin',
])

function listenerSchema(): z.ZodType<ListenerSection> {
  const z = zod()
  return z.strictObject({
    address: listenAddressField(),
    tls: listenerTlsSchema().optional(),
    h2c: booleanField().optional(),
    ...listenerNetworkShape(),
  })
}

/** One certificate with what else is to be said, or a list of certificates chosen by name. */
function listenerTlsSchema(): z.ZodType<ListenerTlsSection | readonly CertificateSection[]> {
  const z = zod()
  const file = textField('the path of a PEM file')
  const certificate = z.strictObject({
    cert: file,
    key: file,
    ocsp: textField('the path of an OCSP response in DER').optional(),
  })
  const certificates = z.array(certificate).min(1, 'empty; expected at least one certificate')
  const section = z.strictObject({
    ...certificate.partial().shape,
    certificates: certificates.optional(),
    client_ca: file.optional(),
    client_cert: choiceField(['required', 'optional']).optional(),
    min_version: tlsVersionField().optional(),
    ciphers: ciphersField().optional(),
    handshake_timeout: durationField(1).optional(),
    max_handshakes: integerField(1, 1_000_000).optional(),
    ticket_key: textField('the path of a file of 48 random bytes').optional(),
    key_log: textField('the path of a file').optional(),
  })
  return listOrOtherField(certificates, section)
}

function upstreamSchema(): z.ZodType<UpstreamSection> {
  const z = zod()
  const backend = z.strictObject({
    address: backendAddressField(),
    weight: integerField(1, 65_535).optional(),
    backup: fixedField(false).optional(),
  })
  return z.strictObject({
    backends: z.array(backend).min(1, 'empty; expected at least one backend'),
    discover: notYetField(),
    balance: choiceField(['round_robin', 'random'], LATER_BALANCE).optional(),
    hash_on: notYetField(),
    host_header: hostHeaderField().optional(),
    protocol: choiceField(['http1', 'h2', 'h2c', 'auto']).optional(),
    max_h2_streams: integerField(1, 1_000).optional(),
    grpc_web: booleanField().optional(),
    tls: tlsSchema().optional(),
    health_check: healthCheckSchema().optional(),
    passive_health: notYetField(),
    retries: retriesSchema().optional(),
    timeouts: timeoutsSchema().optional(),
    ...upstreamNetworkShape(),
    keepalive: z.strictObject({ max_idle: countField().optional() }).optional(),
  })
}

function tlsSchema(): z.ZodType<TlsSection> {
  const z = zod()
  return z.strictObject({
    sni: textField('a name such as api.example.com').optional(),
    verify: booleanField().optional(),
    ca: textField('the path of a PEM file').optional(),
    cert: textField('the path of a PEM file').optional(),
    key: textField('the path of a PEM file').optional(),
  })
}

function healthCheckSchema(): z.ZodType<HealthCheckSection> {
  const z = zod()
  return z.strictObject({
    type: choiceField(['tcp'], ['http']),
    path: notYetField(),
    interval: durationField(1).optional(),
    timeout: durationField(1).optional(),
    consecutive_success: integerField(1, 1_000).optional(),
    consecutive_failure: integerField(1, 1_000).optional(),
  })
}

function retriesSchema(): z.ZodType<RetriesSection> {
  const z = zod()
  return z.strictObject({
    max: integerField(0, 1_000).optional(),
    on: z.array(choiceField(['connect', 'reset'], ['502', '503', '504'])).optional(),
    budget_percent: notYetField(),
    non_idempotent: fixedField(false).optional(),
  })
}

function timeoutsSchema(): z.ZodType<TimeoutsSection> {
  const z = zod()
  const duration = durationField().optional()
  return z.strictObject({
    connect: duration,
    total_connect: duration,
    read: duration,
    write: duration,
    idle: duration,
    tunnel: duration,
  })
}

function limitsSchema(): z.ZodType<LimitsSection> {
  const z = zod()
  return z.strictObject({
    request_line: sizeField(1, MAX_HEAD_BYTES).optional(),
    headers: sizeField(1, MAX_HEAD_BYTES).optional(),
    header_count: integerField(1, 10_000).optional(),
    retry_buffer: sizeField(0, MAX_RETRY_BYTES).optional(),
  })
}

/** From 1 ms: a client that may take for ever holds its connection for ever. */
function clientTimeoutsSchema(): z.ZodType<ClientTimeoutsSection> {
  const z = zod()
  const duration = durationField(1).optional()
  return z.strictObject({ header: duration, body: duration, write: duration })
}

function listenAddressField(): z.ZodType<string> {
  return field('IP:PORT, [IPV6]:PORT or unix:/PATH', (value) => {
    if (typeof value !== 'string') return undefined
    parseSocketAddress(value)
    return value
  })
}

function backendAddressField(): z.ZodType<string> {
  return field('HOST:PORT, [IPV6]:PORT or unix:/PATH', (value) => {
    if (typeof value !== 'string') return undefined
    const address = parseHostAddress(value)
    if (address.kind === 'unix' || address.port > 0) return value
    throw new ProxyError('PGR_ADDRESS_INVALID', `${JSON.stringify(value)}: a backend needs a port`)
  })
}

function hostHeaderField(): z.ZodType<string> {
  return field('a host such as api.example.com, or upstream', (value) =>
    typeof value === 'string' && /^[\w.:[\]-]{1,255}$/.test(value) ? value : undefined,
  )
}

function ciphersField(): z.ZodType<string> {
  return field('cipher suites as OpenSSL writes them', (value) => {
    if (typeof value !== 'string' || value === '') return undefined
    checkCiphers(value)
    return value
  })
}

function tlsVersionField(): z.ZodType<'1.2' | '1.3'> {
  return field('1.2 or 1.3', (value) => TLS_VERSIONS.find((version) => version === String(value)))
}

function countField(): z.ZodType<number> {
  return integerField(0, 1_000_000)
}

const TLS_VERSIONS = ['1.2', '1.3'] as const
/** Every client may make us hold as much as this. */
const MAX_HEAD_BYTES = 16 * 1024 ** 2
const MAX_RETRY_BYTES = 1024 ** 3

const LATER_BALANCE = [
  'fnv_hash',
  'consistent',
  'least_connections',
  'least_requests',
  'peak_ewma',
] as const
