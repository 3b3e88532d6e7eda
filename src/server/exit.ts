/** Ends the process with the reason on stderr: the one place for a program's failing start. */
import { ProxyError, describeThrown } from '../error/index.js'
import { START_REPORT } from './daemon/start-report.js'

/** Prints why the program could not start, without a stack, and exits with 1. */
export function exitWithFailure(thrown: unknown): never {
  exitWithReason(failureText(thrown))
}

/** The same with the text as it is. A daemon says it to its launcher too. */
export function exitWithReason(text: string): never {
  process.stderr.write(`${text}\n`)
  START_REPORT?.failed(text)
  process.exit(1)
}

/** Prints what is wrong with the command line, and its usage, and exits with 2. */
export function exitWithUsage(problem: string, usage: string): never {
  process.stderr.write(`error: ${problem}\n${usage}\n`)
  process.exit(2)
}

/** Problems of a file start with its name, line and column, as editors and people expect. */
function failureText(thrown: unknown): string {
  if (thrown instanceof ProxyError && thrown.code === 'PGR_CONFIGURATION_INVALID')
    return thrown.message
  if (thrown instanceof ProxyError) return `error: ${thrown.message}`
  // Anything else is a fault of the program, and its author needs the stack.
  return thrown instanceof Error
    ? (thrown.stack ?? thrown.message)
    : `error: ${describeThrown(thrown)}`
}
