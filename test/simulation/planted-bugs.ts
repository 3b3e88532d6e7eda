/** Bugs that the simulation has to find: each is one change of the compiled code. */

/** A bug, where it is planted, and what must be noticed. */
export interface PlantedBug {
  /** What the proxy does wrong. */
  readonly name: string
  /** The first seed that shows it, counted from 1, when this was written: to begin there is quick. */
  readonly from: number
  /** The compiled file, from the root of the sources. */
  readonly file: string
  /** What stands there, once. */
  readonly find: string
  readonly replace: string
  /** What the failure has to say. */
  readonly found: RegExp
}

/** One for each kind of mistake that a proxy must not make. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'reuses a connection on which the upstream spoke unasked',
    from: 10,
    file: 'transport/pool.js',
    find: 'onData() {\n        this.drop(this, true);',
    replace: 'onData() {',
    found: /invariant reuse:/,
  },
  {
    name: 'reuses a connection with bytes left over from the answer',
    from: 4,
    file: 'session/h1-upstream-session.js',
    find: 'this.#kept === null &&\n            !this.#endKept',
    replace: '!this.#endKept',
    found: /invariant reuse:/,
  },
  {
    name: 'sends a POST again though bytes of it were sent',
    from: 44,
    file: 'proxy/retry.js',
    find: 'facts.reused && (!facts.requestStarted || IDEMPOTENT.has(facts.method))',
    replace: 'facts.reused',
    found: /invariant sent-twice:/,
  },
  {
    name: 'does not go on with a response when the client has taken what waited',
    from: 6,
    file: 'proxy/relay.js',
    find: 'if (!this.#responseFiltering)\n            this.#upstream?.resume();',
    replace: '',
    found: /invariant liveness:/,
  },
  {
    name: 'does not go on with a request when the upstream has taken what waited',
    from: 17,
    file: 'proxy/relay.js',
    find: 'if (!this.#requestFiltering && !this.#requestEnded)\n            this.downstream.readBody();',
    replace: '',
    found: /invariant liveness:/,
  },
  {
    name: 'logs a failed request twice',
    from: 2,
    file: 'proxy/pipeline.js',
    find: 'logFailure(this.#hooks,',
    replace: 'this.#log(session, error, ctx);\n        logFailure(this.#hooks,',
    found: /invariant logging:/,
  },
  {
    name: 'does not log a request that a filter has answered',
    from: 29,
    file: 'proxy/pipeline.js',
    find: 'else if (relay.downstream.responseDone)\n            this.#finish(relay, undefined);',
    replace: 'else if (relay.downstream.responseDone)\n            relay.downstream.finish();',
    found: /invariant logging:/,
  },
  {
    name: 'leaves a time-out behind when an exchange is over',
    from: 4,
    file: 'session/h1-upstream-session.js',
    find: 'this.#over = true;\n        this.#readDeadline.dispose();',
    replace: 'this.#over = true;',
    found: /left over: a time-out/,
  },
  {
    name: 'leaves an upstream connection open that is of no more use',
    from: 1,
    file: 'session/http-connector.js',
    find: 'session.abort();',
    replace: ';',
    found: /left over: a connection/,
  },
  {
    name: 'keeps bytes of the upstream that are only borrowed, for a filter',
    from: 12,
    file: 'proxy/relay.js',
    find: 'upstream.retain();\n            this.#holdResponse(upstream);',
    replace: 'this.#holdResponse(upstream);',
    found: /invariant answer-bytes:/,
  },
  {
    name: 'keeps bytes of the client that are only borrowed, for a slow upstream',
    from: 71,
    file: 'proxy/relay.js',
    find: 'this.#requestBlocked = true;\n        this.downstream.retain();',
    replace: 'this.#requestBlocked = true;',
    found: /invariant request-bytes:/,
  },
  {
    name: 'takes a response for whole that the upstream has cut',
    from: 28,
    file: 'session/h1-upstream-session.js',
    find: 'this.#decoder.finish();',
    replace: '',
    found: /invariant answer-bytes:/,
  },
  {
    name: 'ends a body that ends with the connection orderly though it was cut',
    from: 85,
    file: 'session/h1-server-connection.js',
    find: 'isCut && writer.endsWithConnection',
    replace: 'false',
    found: /invariant answer-bytes:/,
  },
  {
    name: 'makes one attempt more than allowed',
    from: 58,
    file: 'proxy/pipeline.js',
    find: 'attempts >= this.#context.maxAttempts',
    replace: 'attempts > this.#context.maxAttempts',
    found: /invariant max-attempts:/,
  },
  {
    name: 'lets fields through that Connection names',
    from: 1,
    file: 'protocols/h1/head-facts.js',
    find: 'if (!KEPT_THOUGH_NAMED.has(name))\n                headers.remove(name);',
    replace: ';',
    found: /invariant hop-by-hop:/,
  },
]
