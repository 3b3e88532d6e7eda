/** `pingora-ts/testing`: the true proxy in process, on a network in memory and in virtual time. */
export { ManualClock } from '../time/index.js'
export { LINK_DEFAULTS, MemoryConnection, MemoryNetwork } from '../transport/internal.js'
export type {
  AcceptedTls,
  LinkOptions,
  LinkSplit,
  ListeningAddress,
  MemoryNetworkOptions,
  MemoryTlsOptions,
  ResolvedLink,
} from '../transport/internal.js'
export type {
  Exchange,
  ExchangeAttempt,
  ExchangeFacts,
  ExchangeFailure,
  InterimResponse,
} from './exchange.js'
export type { HeaderFields } from './header-fields.js'
export type { HookCall, RecordedSession } from './hook-recorder.js'
export type { LogRecord } from './log.js'
export type { MessageFraming, RawMessage, RawMessageParts } from './raw-message.js'
export { reply } from './reply.js'
export type { ReplyFields, ReplyMaker, ReplyOptions } from './reply.js'
export type { CutKind, Reply, ReplyStep } from './reply-steps.js'
export type { ScriptedUpstream, ScriptedUpstreamOptions } from './scripted-upstream.js'
export { SeededRandom } from './seeded-random.js'
export { SimulationFailure, simulate, traceOf } from './simulate.js'
export type {
  Scenario,
  SimulateOptions,
  SimulatedWorldOptions,
  SimulationSummary,
} from './simulate.js'
export type { TestClient, TestClientOptions } from './test-client.js'
export type { ByteAllowance, TestPeer, TestPeerOptions } from './test-peer.js'
export type { TestProxy, TestProxyOptions } from './test-proxy.js'
export type { TestRequest } from './test-request.js'
export type { Answer, AnswerFunction, UpstreamRequest } from './upstream-request.js'
export { TestWorld } from './world.js'
export type { TestWorldOptions } from './world.js'
export type { RunningServices, WorldHandle } from './world-handle.js'
