import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { serviceDiary } from '../../test/helpers/service-diary.js'
import { SILENT_LOGGER } from '../observability/index.js'
import { ExecutionPhases } from './execution-phase.js'
import type { ExecutionPhase } from './execution-phase.js'
import { Opt } from './opt.js'
import { Server } from './server.js'
import { ServerConf } from './server-conf.js'
import type { Service } from './service.js'

describe('ExecutionPhases', () => {
  test('tells each change once, to those who watch', () => {
    const phases = new ExecutionPhases(SILENT_LOGGER)
    const [first, second]: ExecutionPhase[][] = [[], []]
    const end = phases.watch((phase) => first!.push(phase))
    phases.watch((phase) => second!.push(phase))
    phases.enter('setup')
    phases.enter('bootstrap')
    end()
    end()
    phases.enter('running')
    phases.enter('running')
    assert.deepEqual([first, second], [['bootstrap'], ['bootstrap', 'running']])
    assert.equal(phases.current, 'running')
  })

  test('logs what a watcher throws, and tells the others all the same', () => {
    const errors: string[] = []
    const logger = { ...SILENT_LOGGER, error: (message: string) => errors.push(message) }
    const phases = new ExecutionPhases(logger)
    const seen: ExecutionPhase[] = []
    phases.watch(() => {
      throw new Error('not interested')
    })
    phases.watch((phase) => seen.push(phase))
    phases.enter('bootstrap')
    assert.deepEqual(seen, ['bootstrap'])
    assert.deepEqual(errors, ['watching the phase bootstrap: not interested'])
  })
})

describe('the phases of a server', () => {
  for (const [kind, between] of [
    ['graceful', ['graceful-terminate', 'shutdown-started', 'shutdown-grace-period']],
    ['upgrade', ['shutdown-started', 'shutdown-grace-period']],
    ['immediate', ['shutdown-started']],
  ] as const) {
    test(`lead through its life, with a stop that is ${kind}`, async (t) => {
      const server = serverWith(t, {})
      const phases = watch(server)
      assert.equal(server.phase, 'setup')
      await server.run({
        onReady: () => {
          server.stop(kind)
        },
      })
      assert.deepEqual(phases, [
        'bootstrap',
        'bootstrap-complete',
        'running',
        ...between,
        'shutdown-runtimes',
        'terminated',
      ])
      assert.equal(server.phase, 'terminated')
    })
  }

  test('leave out what a start that fails never reaches', async (t) => {
    const server = serverWith(t, { start: () => Promise.reject(new Error('port taken')) })
    const phases = watch(server)
    await assert.rejects(server.run(), /port taken/)
    assert.deepEqual(phases, ['bootstrap', 'bootstrap-complete', 'shutdown-runtimes', 'terminated'])
  })

  test('are few with -t', async (t) => {
    const server = serverWith(t, {}, new Opt({ test: true }))
    const phases = watch(server)
    await server.run()
    assert.deepEqual(phases, ['bootstrap', 'bootstrap-complete', 'terminated'])
  })

  function serverWith(t: TestContext, parts: Partial<Service>, opt = new Opt()): Server {
    const { context, service } = serviceDiary(t)
    const { env, logger } = context
    const server = new Server(opt, new ServerConf(), { env, logger })
    server.addService(service('a', parts))
    return server
  }

  function watch(server: Server): ExecutionPhase[] {
    const phases: ExecutionPhase[] = []
    server.watchPhase((phase) => phases.push(phase))
    return phases
  }
})
