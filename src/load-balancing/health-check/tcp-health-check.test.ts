import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { scriptedEnvironment } from '../../../test/helpers/scripted-network.js'
import type { ScriptedEnvironment } from '../../../test/helpers/scripted-network.js'
import { settle } from '../../../test/helpers/settle.js'
import { ProxyError } from '../../error/index.js'
import { Backend } from '../backend.js'
import { TcpHealthCheck } from './tcp-health-check.js'

const BACKEND = new Backend('10.0.0.1:443')
const NEVER = new AbortController().signal

/** The error code of one check; empty when it succeeded. Time does not move. */
async function outcome(check: TcpHealthCheck, env: ScriptedEnvironment): Promise<string> {
  return codeOf(check.check(BACKEND, NEVER, env))
}

async function codeOf(work: Promise<void>): Promise<string> {
  try {
    await work
    return ''
  } catch (error) {
    assert.ok(error instanceof ProxyError)
    return error.code
  }
}

describe('TcpHealthCheck', () => {
  test('succeeds when the connection is accepted, and closes it', async () => {
    const env = scriptedEnvironment()
    assert.equal(await outcome(new TcpHealthCheck(), env), '')
    assert.deepEqual(env.network.dialled, ['10.0.0.1:443'])
    assert.equal(env.network.tlsOptions.length, 0)
    assert.equal(env.network.open.size, 0)
  })

  test('fails when the connection is refused', async () => {
    const env = scriptedEnvironment()
    env.network.dialAnswers.set(BACKEND.address, 'refuse')
    assert.equal(await outcome(new TcpHealthCheck(), env), 'PGR_CONNECT_REFUSED')
  })

  test('fails when nothing answers in time, and gives the connection up', async () => {
    const env = scriptedEnvironment()
    env.network.dialAnswers.set(BACKEND.address, 'hang')
    const code = outcome(new TcpHealthCheck({ connectTimeoutMs: 500 }), env)
    await settle()
    env.clock.advance(499)
    assert.equal(env.network.hanging, 1)
    env.clock.advance(100)
    assert.equal(await code, 'PGR_CONNECT_TIMEOUT')
    await settle()
    assert.equal(env.network.hanging, 0)
  })

  test('does a handshake that verifies the name, when it is made for TLS', async () => {
    const env = scriptedEnvironment()
    assert.equal(await outcome(TcpHealthCheck.tls('one.one.one.one'), env), '')
    assert.equal(env.network.dialOptions[0]?.forTls, true)
    const tls = env.network.tlsOptions.at(0)
    assert.equal(tls?.sni, 'one.one.one.one')
    assert.equal(tls.verifyName, 'one.one.one.one')
    assert.equal(tls.verifyChain, true)
    assert.equal(tls.sessionKey, '')
    assert.equal(env.network.open.size, 0)
  })

  test('fails when the handshake does, or takes too long', async () => {
    const env = scriptedEnvironment()
    env.network.tlsAnswers.set(BACKEND.address, 'refuse')
    const check = TcpHealthCheck.tls('one.one.one.one')
    assert.equal(await outcome(check, env), 'PGR_TLS_HANDSHAKE_FAILED')
    env.network.tlsAnswers.set(BACKEND.address, 'hang')
    const code = outcome(check, env)
    await settle()
    env.clock.advance(1_100)
    assert.equal(await code, 'PGR_TLS_HANDSHAKE_TIMEOUT')
    await settle()
    assert.equal(env.network.open.size, 0)
  })

  test('connects as its peer options say', async () => {
    const env = scriptedEnvironment()
    const peer = { bindTo: '10.0.0.9', verifyHostname: false }
    const check = new TcpHealthCheck({ peer, tls: { sni: 'a.test', ca: 'PEM', verify: true } })
    assert.equal(await outcome(check, env), '')
    assert.equal(env.network.dialOptions[0]?.localAddress, '10.0.0.9')
    assert.equal(env.network.tlsOptions[0]?.ca, 'PEM')
    assert.equal(env.network.tlsOptions[0].verifyName, '')
  })

  test('dials nothing when TLS to a unix socket has no name to verify', async () => {
    const env = scriptedEnvironment()
    const check = new TcpHealthCheck({ tls: {} })
    const work = check.check(new Backend('unix:/run/a.sock'), NEVER, env)
    assert.equal(await codeOf(work), 'PGR_OPTION_INVALID')
    assert.deepEqual(env.network.dialled, [])
  })

  test('ends with the reason of the signal', async () => {
    const env = scriptedEnvironment()
    env.network.dialAnswers.set(BACKEND.address, 'hang')
    const controller = new AbortController()
    const work = new TcpHealthCheck().check(BACKEND, controller.signal, env)
    await settle()
    controller.abort(new Error('stop'))
    await assert.rejects(work, /stop/)
    await settle()
    assert.equal(env.network.hanging, 0)
  })

  test('uses an environment of its own when it was given one', async () => {
    const own = scriptedEnvironment()
    const balancers = scriptedEnvironment()
    assert.equal(await outcome(new TcpHealthCheck({ env: own }), balancers), '')
    assert.equal(own.network.dialled.length, 1)
    assert.equal(balancers.network.dialled.length, 0)
  })

  test('refuses numbers out of range', () => {
    const options = [
      { connectTimeoutMs: 0 },
      { consecutiveSuccess: 0 },
      { consecutiveFailure: 1.5 },
    ]
    for (const option of options) {
      assert.throws(
        () => new TcpHealthCheck(option),
        (error) => error instanceof ProxyError && error.code === 'PGR_OPTION_INVALID',
      )
    }
  })
})
