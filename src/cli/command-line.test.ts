import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BALANCER_DEFAULTS } from '../balancer/index.js'
import { parseCommandLine } from './command-line.js'
import { parseTarget } from './target.js'

const args = (text: string): string[] => text.split(' ').filter((word) => word !== '')

describe('parseCommandLine', () => {
  test('takes flags without a command as those of run', () => {
    for (const text of ['-c p.yaml', 'run -c p.yaml', '--conf=p.yaml', 'run -cp.yaml']) {
      const command = parseCommandLine(args(text))
      assert.ok(command.name === 'run')
      assert.equal(command.file, 'p.yaml')
      assert.equal(command.opt.test, false)
      assert.ok(command.opt.fromCommandLine)
    }
    const command = parseCommandLine(args('-tc p.yaml'))
    assert.ok(command.name === 'run' && command.opt.test)
    for (const text of ['run -d -c p.yaml', 'proxy --daemon --to 127.0.0.1:9001']) {
      const inBackground = parseCommandLine(args(text))
      assert.ok('opt' in inBackground && inBackground.opt.daemon)
    }
  })

  test('builds the settings of proxy', () => {
    const command = parseCommandLine(
      args(
        'proxy --to https://a.example --to https://[::1]:8443/ --listen 127.0.0.1:1 --listen unix:/p.sock' +
          ' --balance random --health-check tcp --host-header upstream --sni b.example --threads 1 -c s.yaml',
      ),
    )
    assert.ok(command.name === 'proxy')
    assert.equal(command.opt.conf, 's.yaml')
    assert.equal(command.threads, 1)
    const { listeners, upstream } = command.settings
    assert.deepEqual(
      listeners.map(({ address }) => address),
      ['127.0.0.1:1', 'unix:/p.sock'],
    )
    assert.deepEqual(upstream.backends, [
      { address: 'a.example:443', weight: 1 },
      { address: '[::1]:8443', weight: 1 },
    ])
    assert.equal(upstream.balance, 'random')
    assert.equal(upstream.hostHeader, 'upstream')
    assert.deepEqual(upstream.healthCheck, BALANCER_DEFAULTS.healthCheck)
    assert.deepEqual(upstream.tls, {
      sni: 'b.example',
      verify: true,
      ca: undefined,
      identity: undefined,
    })
  })

  test('has defaults for everything but the backends', () => {
    const command = parseCommandLine(args('proxy --to 127.0.0.1:9001'))
    assert.ok(command.name === 'proxy')
    const { listeners, upstream } = command.settings
    assert.deepEqual(
      listeners.map(({ address }) => address),
      ['127.0.0.1:6188'],
    )
    assert.equal(upstream.tls, undefined)
    assert.equal(upstream.healthCheck, undefined)
    assert.equal(upstream.hostHeader, undefined)
  })

  const REFUSED: readonly (readonly [string, RegExp])[] = [
    ['', /a command is missing/],
    ['serve', /unknown command "serve"; expected one of run, proxy, demo/],
    ['demo -c x', /Unknown option '-c'/],
    ['proxy --to a:1 --to https://b', /http, https and h2c cannot be mixed/],
    ['proxy --to a:1 --to h2c://b', /http, https and h2c cannot be mixed/],
    ['proxy --to a:1 --sni b', /--sni: only with/],
    ['proxy --to a:1 --balance peak_ewma', /--balance peak_ewma: not available yet/],
    ['proxy --to a:1 --balance best', /--balance: got "best"; expected round_robin or random/],
    ['proxy --to a:1 --health-check http:/x', /--health-check http:\/x: not available yet/],
    ['proxy --to a:1 --health-check udp', /--health-check: got "udp"; expected tcp/],
    ['proxy --to a:1 --threads 0', /--threads: got "0"; expected an integer from 1/],
    ['proxy --to a:1 --listen localhost:1', /--listen: "localhost:1": an IP address is needed/],
  ]
  for (const [text, expected] of REFUSED) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseCommandLine(args(text)), expected)
    })
  }
})

describe('parseTarget', () => {
  test('reads every form of a URL', () => {
    const cases = [
      ['127.0.0.1:80', '127.0.0.1:80', false],
      ['name:80', 'name:80', false],
      ['http://name', 'name:80', false],
      ['HTTP://name:8080/', 'name:8080', false],
      ['http://[::1]', '[::1]:80', false],
      ['https://[::1]:8443', '[::1]:8443', true],
      ['https://name', 'name:443', true],
      ['unix:/run/a.sock', 'unix:/run/a.sock', false],
      ['h2c://name', 'name:80', false, 'h2c'],
      ['H2C://name:8080', 'name:8080', false, 'h2c'],
    ] as const
    for (const [text, address, tls, protocol = 'http1'] of cases)
      assert.deepEqual(parseTarget(text), { address, tls, protocol })
  })

  test('refuses everything else', () => {
    const cases = [
      ['name', /expected HOST:PORT/],
      ['name:0', /a port from 1 is needed/],
      ['ftp://name', /expected http:\/\/, https:\/\//],
      ['http://name/path', /nothing after them/],
      ['http://user@name', /nothing after them/],
      ['http://', /expected HOST:PORT|not a host/],
    ] as const
    for (const [text, expected] of cases) {
      assert.throws(() => parseTarget(text), { name: 'UsageError', message: expected }, text)
    }
  })
})
