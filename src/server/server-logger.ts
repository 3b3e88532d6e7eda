/** Where a server logs to when the program brings no logger. */
import { LineLogger, parseLogLevel } from '../observability/index.js'
import type { LogLevel, Logger } from '../observability/index.js'
import type { Environment } from '../transport/index.js'
import type { ServerConf } from './server-conf.js'
import { ForwardingLogger } from './workers/forwarding-logger.js'
import type { WorkerStart } from './workers/this-worker.js'
import type { FromWorker } from './workers/worker-messages.js'

/** The level that the variables ask for, else the file. */
export function logLevel(configuration: ServerConf): LogLevel {
  return (
    parseLogLevel(process.env['PINGORA_LOG']) ??
    parseLogLevel(process.env['RUST_LOG']) ??
    configuration.logLevel
  )
}

/** Readable lines on stderr, for the foreground. */
export function stderrLogger(level: LogLevel, { clock }: Environment): Logger {
  // A reader of the log that goes away must not end the process.
  if (!process.stderr.listeners('error').includes(ignoreError))
    process.stderr.on('error', ignoreError)
  return new LineLogger({ level, destination: process.stderr, clock })
}

function ignoreError(): void {
  // There is no better place left to say so.
}

/** In a worker: the main thread's log. */
export function workerLogger({ port, logLevel: level, unwritten }: WorkerStart): Logger {
  return new ForwardingLogger(level, new Int32Array(unwritten), (entry) => {
    port.postMessage({ kind: 'log', entry } satisfies FromWorker)
  })
}
