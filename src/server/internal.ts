/** What the command and `testing` share with the server: flags, the end of a program, its services. */
export { exitWithFailure, exitWithUsage } from './exit.js'
export { COMMON_FLAGS, COMMON_HELP, COMMON_USAGE, optOf, usageProblem } from './opt.js'
export type { CommonFlagValues } from './opt.js'
export { MAX_THREADS } from './server-keys.js'
export { inheritFromMain } from './workers/inheritance.js'
export { runServices } from './run-services.js'
export { StopControl } from './stop-control.js'
