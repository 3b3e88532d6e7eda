import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ProxyError } from '../error/index.js'
import { ServerConf } from './server-conf.js'
import { temporaryFolder } from '../../test/helpers/temporary-folder.js'

/** A value of each key of Pingora's that we take, besides its default. */
const TAKEN = `---
version: 1
threads: 1
accept: reuseport
daemon: false
pid_file: /tmp/load_balancer.pid
error_log: load_balancer_err.log
upgrade_sock: /tmp/load_balancer.sock
grace_period_seconds: 30
max_retries: 3
upstream_keepalive_pool_size: 0
client_bind_to_ipv4: [127.0.0.2]
client_bind_to_ipv6: ['::1']
log_level: warn
upgrade_sock_connect_accept_max_retries: 5
daemon_wait_for_ready: true
daemon_ready_timeout_seconds: 2m
daemon_notify_timeout_seconds: 60
user: nobody
group: nogroup
working_directory: work
`

function refusal(text: string): string {
  try {
    ServerConf.fromYaml(text, 'conf.yaml')
  } catch (thrown) {
    assert.ok(thrown instanceof ProxyError)
    assert.equal(thrown.code, 'PGR_CONFIGURATION_INVALID')
    return thrown.message
  }
  return 'ok'
}

describe('ServerConf', () => {
  test('has Pingora’s defaults', () => {
    const { extra, warnings, ...values } = new ServerConf()
    assert.deepEqual(
      { ...values },
      {
        version: 1,
        daemon: false,
        user: undefined,
        group: undefined,
        workingDirectory: undefined,
        daemonReadyTimeoutSeconds: 600,
        threads: 1,
        accept: 'deal',
        logLevel: 'info',
        errorLog: undefined,
        pidFile: '/tmp/pingora.pid',
        upgradeSock: '/tmp/pingora_upgrade.sock',
        upgradeSockConnectAcceptMaxRetries: 5,
        caFile: undefined,
        ca: undefined,
        gracePeriodSeconds: 300,
        maxRetries: 16,
        upstreamKeepalivePoolSize: 128,
        upstreamDebugSslKeylog: false,
        upstreamKeyLogFile: undefined,
        clientBindToIpv4: [],
        clientBindToIpv6: [],
      },
    )
    assert.deepEqual([extra, warnings], [{}, []])
  })

  test('reads a file’s keys, with paths relative to it', () => {
    const conf = ServerConf.fromYaml(TAKEN, '/etc/pingora/conf.yaml')
    assert.equal(conf.errorLog, '/etc/pingora/load_balancer_err.log')
    assert.equal(conf.pidFile, '/tmp/load_balancer.pid')
    assert.equal(conf.daemonReadyTimeoutSeconds, 120)
    assert.deepEqual([conf.user, conf.group], ['nobody', 'nogroup'])
    assert.equal(conf.workingDirectory, '/etc/pingora/work')
    assert.equal(conf.gracePeriodSeconds, 30)
    assert.equal(conf.accept, 'reuseport')
    assert.equal(conf.maxRetries, 3)
    assert.equal(conf.upstreamKeepalivePoolSize, 0)
    assert.deepEqual(conf.clientBindToIpv4, ['127.0.0.2'])
    assert.deepEqual(conf.clientBindToIpv6, ['::1'])
    assert.equal(conf.logLevel, 'warn')
    assert.deepEqual(conf.warnings, [])
  })

  test('keeps unknown keys for the program and warns of them', () => {
    const conf = ServerConf.fromYaml(
      'my_limits: { a: 1 }\nmax_retrys: 2\nwork_stealing: false',
      'conf.yaml',
    )
    assert.deepEqual(conf.extra, { my_limits: { a: 1 }, max_retrys: 2 })
    assert.deepEqual(conf.warnings, [
      'conf.yaml:1:1: my_limits: unknown key, ignored',
      'conf.yaml:2:1: max_retrys: unknown key, ignored; did you mean max_retries?',
      'conf.yaml:3:1: work_stealing: has no effect here',
    ])
  })

  test('refuses what is not built yet, and says so', () => {
    const cases = [
      ['threads: 257', 'conf.yaml:1:10: threads: got 257; expected an integer from 1 to 256'],
    ] as const
    for (const [text, message] of cases) assert.equal(refusal(text), message)
  })

  test('refuses values that do not fit, all at once', () => {
    assert.equal(
      refusal(
        'max_retries: 0\ngrace_period_seconds: soon\nclient_bind_to_ipv4: ["::1"]\nlog_level: loud\n' +
          'daemon: yes\nuser: 1000\ndaemon_ready_timeout_seconds: 0\naccept: reuse_port',
      ),
      [
        'conf.yaml:1:14: max_retries: got 0; expected an integer from 1 to 1000000',
        'conf.yaml:2:23: grace_period_seconds: got "soon"; expected seconds as a number from 0, or a duration such as 30s',
        'conf.yaml:3:23: client_bind_to_ipv4[0]: got "::1"; expected an IPv4 address',
        'conf.yaml:4:12: log_level: got "loud"; expected one of trace, debug, info, warn, error, silent',
        'conf.yaml:5:9: daemon: got "yes"; expected true or false',
        'conf.yaml:6:7: user: got 1000; expected the name of a user',
        'conf.yaml:7:31: daemon_ready_timeout_seconds: got 0; expected seconds as a number from 1, or a duration such as 30s',
        'conf.yaml:8:9: accept: got "reuse_port"; expected one of deal, shared, reuseport',
      ].join('\n'),
    )
  })

  test('checks options given in code as it checks a file', () => {
    assert.equal(new ServerConf({ maxRetries: 2, extra: { a: 1 } }).maxRetries, 2)
    const refused = (options: object, expected: RegExp): void => {
      assert.throws(() => new ServerConf(options), {
        code: 'PGR_CONFIGURATION_INVALID',
        message: expected,
      })
    }
    refused({ maxRetries: 0 }, /^ServerConf: max_retries: got 0; expected an integer/)
    refused({ threads: 0 }, /^ServerConf: threads: got 0; expected an integer/)
    refused({ maxRetrys: 1 }, /^ServerConf: max_retrys: unknown key/)
  })

  test('reads the certificates of ca_file, and says where the key stands when it cannot', (t) => {
    const directory = temporaryFolder(t)
    const file = join(directory, 'conf.yaml')
    writeFileSync(file, 'ca_file: ca.crt\n')
    const load = (): ServerConf => ServerConf.load(file)
    const message = (text: string): { message: string } => ({
      message: `${file}:1:10: ca_file: ${text}`,
    })
    assert.throws(load, message(`${directory}/ca.crt cannot be read: no such file`))
    writeFileSync(join(directory, 'ca.crt'), 'nothing')
    assert.throws(load, message(`${directory}/ca.crt: holds no certificate; expected PEM`))
  })
})
