#!/usr/bin/env node
/** The `pingora` command: from what was typed to a running server; nothing but composition. */
import { createRequire } from 'node:module'
import { createBalancer, loadBalancerFile } from '../balancer/index.js'
import type { BalancerSettings } from '../balancer/index.js'
import { Opt, Server, ServerConf } from '../server/index.js'
import {
  exitWithFailure,
  exitWithUsage,
  inheritFromMain,
  usageProblem,
} from '../server/internal.js'
import { parseCommandLine } from './command-line.js'
import type { Command } from './command-line.js'
import { startDemo } from './demo/start-demo.js'
import { HELP, USAGE } from './usage.js'

main().catch(exitWithFailure)

async function main(): Promise<void> {
  const command = commandOrExit()
  switch (command.name) {
    case 'help':
      process.stdout.write(`${HELP}\n`)
      return
    case 'version':
      process.stdout.write(`pingora-ts ${version()}\n`)
      return
    case 'demo':
      return startDemo()
    case 'proxy': {
      const { opt, settings, threads } = command
      const conf = opt.conf === undefined ? new ServerConf() : ServerConf.load(opt.conf)
      return serve(opt, threads === undefined ? conf : conf.withThreads(threads), settings)
    }
    case 'run': {
      const { conf, settings } = inheritFromMain(() => loadBalancerFile(command.file))
      return serve(command.opt, conf, settings)
    }
  }
}

async function serve(opt: Opt, conf: ServerConf, settings: BalancerSettings): Promise<void> {
  const { daemon, test, upgrade } = opt
  // The file is read already: it holds more than the server's keys.
  const server = new Server(new Opt({ daemon, test, upgrade }, true), conf)
  await server.bootstrap()
  // A daemon is called after its program's file; ours may be `main.js`, which nobody would look for.
  if (daemon || conf.daemon) process.title = 'pingora'
  server.addServices(await createBalancer(conf, settings))
  await server.runForever()
}

function commandOrExit(): Command {
  try {
    return parseCommandLine(process.argv.slice(2))
  } catch (thrown) {
    exitWithUsage(usageProblem(thrown), USAGE)
  }
}

function version(): string {
  const { version: text } = createRequire(import.meta.url)('pingora-ts/package.json') as {
    version: string
  }
  return text
}
