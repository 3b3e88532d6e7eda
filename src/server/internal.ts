/** What the command shares with the server: flags and the way a program ends. */
export { exitWithFailure, exitWithUsage } from './exit.js'
export { COMMON_FLAGS, COMMON_HELP, COMMON_USAGE, optOf, usageProblem } from './opt.js'
export type { CommonFlagValues } from './opt.js'
