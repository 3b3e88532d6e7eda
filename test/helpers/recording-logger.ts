/** A logger that keeps its lines for a test to read. */
import type { LogLevel, Logger } from '../../src/observability/index.js'

/** Keeps every line as `LEVEL MESSAGE`, in order. */
export class RecordingLogger implements Logger {
  readonly level: LogLevel = 'trace'
  readonly lines: string[] = []

  trace(message: string): void {
    this.lines.push(`trace ${message}`)
  }

  debug(message: string): void {
    this.lines.push(`debug ${message}`)
  }

  info(message: string): void {
    this.lines.push(`info ${message}`)
  }

  warn(message: string): void {
    this.lines.push(`warn ${message}`)
  }

  error(message: string): void {
    this.lines.push(`error ${message}`)
  }
}
