/** Help, and what is thrown when the command line cannot be understood. */
import { COMMON_HELP } from '../server/internal.js'

/** Wrong usage: the process prints it and exits with 2. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError'
}

/** The command in a few lines. */
export const USAGE: string = [
  'Usage: pingora [run] -c FILE [-t] [-d] [-u]',
  '       pingora proxy --to URL [--to URL …] [--listen ADDRESS …] [flags]',
  '       pingora demo',
  '       pingora --help | --version',
].join('\n')

/** Everything that can be typed. */
export const HELP: string = `${USAGE}

Commands
  run               the balancer from a configuration file
  proxy             the balancer from flags alone
  demo              two HTTPS backends, a dead one, and a balancer in front of them

Flags of proxy
  --to URL          http:// https:// or h2c://HOST:PORT, unix:/PATH or HOST:PORT; one for each backend
  --listen ADDRESS  IP:PORT, [IPV6]:PORT or unix:/PATH; repeatable (default 127.0.0.1:6188)
  --balance NAME    round_robin (default) or random
  --health-check tcp  connect to each backend every second, and use only those that answer
  --host-header H   Host of upstream requests; upstream: the backend's own name (default: the client's)
  --sni NAME        name to ask for and verify with https (default: the host of the URL)
  --threads N       threads that serve (default 1)
  --cache SIZE      cache responses (not available yet)
  -c FILE           the server's own settings

Common flags
${COMMON_HELP}
      --version     print the version

Environment
  PINGORA_LOG       log level: trace, debug, info (default), warn, error or silent`
