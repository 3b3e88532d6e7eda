/** `HookRecorder`: stands between the pipeline and a `ProxyHttp`, and writes down which hook ran when. */
import { ProxyError } from '../error/index.js'
import { ResponseHeader } from '../http/index.js'
import { Session } from '../proxy/index.js'
import type { ProxyHttp } from '../proxy/index.js'
import type { Clock } from '../time/index.js'
import { History } from './history.js'

/** One call of a hook. */
export interface HookCall {
  /** Such as `upstreamPeer`. */
  readonly name: string
  /** When it was called, in the clock's ms. */
  readonly atMs: number
  /**
   * The status for response filters, `12 bytes` or `end` for body filters, `new` or `reused` for
   * `connectedToUpstream`, the code for hooks that get an error; else absent.
   */
  readonly detail?: string
}

/** What was recorded of one request. */
export interface RecordedSession {
  /** The session itself, as the hooks get it. */
  readonly session: Session
  /** The calls of the hooks that the recorded object has, in order. */
  readonly calls: readonly HookCall[]
  /** How often the pipeline called `logging`, whether the object has that hook or not. */
  readonly loggings: number
  /** What `logging` was told; `undefined` before it ran and when the request succeeded. */
  readonly error: ProxyError | undefined
}

/**
 * Records the calls of the hooks of one object. A hook that the object does not have stays absent,
 * for its absence is a path of its own through the pipeline; but for `earlyRequestFilter` and
 * `logging`, which the recorder needs and which then do nothing else. `this`, results and throws pass
 * through untouched. O(1) per call; keeps the newest 100 000 sessions at least.
 */
export class HookRecorder<Ctx> {
  /** What goes into the proxy in place of the recorded object. */
  readonly hooks: ProxyHttp<Ctx>
  readonly #clock: Clock
  readonly #trace: (event: string) => void
  readonly #all = new History<Recording>(MAX_SESSIONS)
  readonly #bySession = new WeakMap<Session, Recording>()
  readonly #byClient = new Map<string, Recording[]>()
  /** The latest `newCtx`: it gets no session, and belongs to the one that comes next. */
  #newCtxCall: HookCall | null = null

  /** @param trace gets one line per call, such as `hook 10.255.0.1:49152 responseFilter 200`. */
  constructor(hooks: ProxyHttp<Ctx>, clock: Clock, trace: (event: string) => void) {
    this.#clock = clock
    this.#trace = trace
    // Asked for by name, so that every hook is recorded, those of later versions too. Not around the
    // object itself: of a frozen one nothing but its own functions could be given out.
    this.hooks = new Proxy<object>(
      {},
      { get: (_, name) => this.#read(hooks, name) },
    ) as typeof hooks
  }

  /** The requests so far, in the order of their heads. */
  get sessions(): readonly RecordedSession[] {
    return this.#all.entries
  }

  /** The requests of one client connection, in order. @param clientAddress such as `10.0.0.1:55123`. */
  sessionsOf(clientAddress: string): readonly RecordedSession[] {
    return this.#byClient.get(clientAddress) ?? []
  }

  #read(hooks: ProxyHttp<Ctx>, name: string | symbol): unknown {
    const hook: unknown = Reflect.get(hooks, name)
    if (typeof name === 'symbol') return hook
    if (typeof hook !== 'function') {
      if (hook !== undefined || !NEEDED.has(name)) return hook
      return (...args: unknown[]) => {
        this.#called(name, args, false)
      }
    }
    if (name === 'newCtx')
      return () => this.#newCtx(() => Reflect.apply(hook, hooks, []) as unknown)
    return (...args: unknown[]): unknown => {
      this.#called(name, args, true)
      return Reflect.apply(hook, hooks, args)
    }
  }

  #newCtx(make: () => unknown): unknown {
    const call: HookCall = { name: 'newCtx', atMs: this.#clock.nowMs() }
    try {
      const ctx = make()
      this.#newCtxCall = call
      return ctx
    } catch (thrown) {
      // The request is over; it never gets a session that a hook could see.
      this.#trace('hook newCtx threw')
      throw thrown
    }
  }

  #called(name: string, args: readonly unknown[], isOwn: boolean): void {
    const session = args[0]
    if (!(session instanceof Session)) return
    const recording = this.#bySession.get(session) ?? this.#begin(session)
    if (name === 'logging') {
      recording.loggings++
      recording.error = args[1] instanceof ProxyError ? args[1] : undefined
    }
    const detail = describeCall(name, args)
    this.#trace(`hook ${connectionOf(session)} ${name}${detail === '' ? '' : ` ${detail}`}`)
    if (!isOwn) return
    recording.calls.push({ name, atMs: this.#clock.nowMs(), ...(detail !== '' && { detail }) })
  }

  #begin(session: Session): Recording {
    const recording: Recording = { session, calls: [], loggings: 0, error: undefined }
    const client = connectionOf(session)
    this.#all.add(recording)
    this.#bySession.set(session, recording)
    this.#remember(client, recording)
    if (this.#newCtxCall !== null) {
      recording.calls.push(this.#newCtxCall)
      this.#trace(`hook ${client} newCtx`)
      this.#newCtxCall = null
    }
    return recording
  }

  #remember(client: string, recording: Recording): void {
    const known = this.#byClient.get(client)
    if (known !== undefined) {
      known.push(recording)
      return
    }
    this.#byClient.set(client, [recording])
    const [oldest] = this.#byClient.keys()
    if (this.#byClient.size > MAX_SESSIONS && oldest !== undefined) this.#byClient.delete(oldest)
  }
}

/** Where the request's connection comes from, whoever a PROXY header says that it is for. */
function connectionOf({ digest }: Session): string {
  return digest.proxyProtocol?.peerAddress ?? digest.peerAddress
}

interface Recording extends RecordedSession {
  readonly calls: HookCall[]
  loggings: number
  error: ProxyError | undefined
}

/** The one fact of a call that tells it from others of the same hook; empty when there is none. */
function describeCall(name: string, args: readonly unknown[]): string {
  if (name === 'connectedToUpstream') return args[1] === true ? 'reused' : 'new'
  for (const arg of args.slice(1)) {
    if (arg instanceof ProxyError) return arg.code
    if (arg instanceof ResponseHeader) return String(arg.status)
  }
  if (!name.endsWith('BodyFilter')) return ''
  return args[1] instanceof Uint8Array ? `${args[1].length} bytes` : 'end'
}

/** The hooks that tell of every request: the first one with a session, and the last one. */
const NEEDED: ReadonlySet<string> = new Set(['earlyRequestFilter', 'logging'])
/** More than a test looks at, and little enough to stay in memory. */
const MAX_SESSIONS = 100_000
