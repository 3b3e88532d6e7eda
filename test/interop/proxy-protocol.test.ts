/** PROXY headers to and from nginx, HAProxy and curl. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import type { RequestOptions } from 'node:http'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { TLV, tlvText } from '../../src/protocols/index.js'
import { NodeNetwork } from '../../src/transport/index.js'
import type { ConnectionDigest } from '../../src/transport/index.js'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy, StartProxyOptions } from '../helpers/start-proxy.js'
import { missing, runProgram, untilServed } from './foreign-program.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

const run = promisify(execFile)
const NO_NGINX = missing('nginx', '-v')
const NO_HAPROXY = missing('haproxy', '-v')
const NO_CURL = missing('curl', '--version')

/** The answer's body, and the address that the request came from. */
async function ask(options: RequestOptions): Promise<{ body: string; from: string }> {
  const asking = request({ ...options, agent: false })
  asking.end()
  const [answer] = (await once(asking, 'response')) as [
    NodeJS.ReadableStream & { socket: { localAddress?: string; localPort?: number } },
  ]
  const { localAddress, localPort } = answer.socket
  let body = ''
  for await (const piece of answer) body += String(piece)
  return { body, from: `${localAddress}:${localPort}` }
}

async function proxy(t: TestContext, options: StartProxyOptions): Promise<RunningProxy> {
  const running = await startProxy(0, options)
  t.after(() => {
    running.destroy()
  })
  return running
}

/** Our listener on a unix socket; it answers each request with the client's address. */
async function answering(
  t: TestContext,
  path: string,
  onSeen: (digest: ConnectionDigest) => void,
): Promise<void> {
  await proxy(t, {
    listen: `unix:${path}`,
    listener: {
      proxyProtocol: true,
      connectionFilter: {
        shouldAccept: (digest) => {
          onSeen(digest)
          return true
        },
      },
    },
    hooks: {
      requestFilter: (session) => {
        session.respond(200, { body: session.clientAddress })
        return 'responded'
      },
    },
  })
}

describe('nginx behind us', { skip: NO_NGINX }, () => {
  for (const proxyProtocol of [1, 2] as const) {
    test(`takes the client from version ${proxyProtocol}, over a unix socket`, async (t) => {
      const folder = temporaryFolder(t)
      const socket = join(folder, 'nginx.sock')
      const config = join(folder, 'nginx.conf')
      writeFileSync(
        config,
        `daemon off; pid ${folder}/nginx.pid; error_log stderr; events {}
http {
  access_log off;
  server {
    listen unix:${socket} proxy_protocol;
    return 200 "$proxy_protocol_addr:$proxy_protocol_port $proxy_protocol_server_port";
  }
}`,
      )
      runProgram(t, ['nginx', '-p', folder, '-c', config], join(folder, 'log'))
      await untilServed(socket)
      const { port } = await proxy(t, { peerAddress: `unix:${socket}`, peer: { proxyProtocol } })
      const { body, from } = await ask({ host: '127.0.0.1', port })
      assert.equal(body, `${from} ${port}`)
    })
  }
})

describe('HAProxy behind us', { skip: NO_HAPROXY }, () => {
  for (const proxyProtocol of [1, 2] as const) {
    test(`takes the client from version ${proxyProtocol}`, async (t) => {
      const folder = temporaryFolder(t)
      const socket = join(folder, 'haproxy.sock')
      const config = join(folder, 'haproxy.cfg')
      writeFileSync(
        config,
        `${DEFAULTS}
frontend in
  bind unix@${socket} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst_port]"
`,
      )
      runProgram(t, ['haproxy', '-db', '-f', config], join(folder, 'log'))
      await untilServed(socket)
      const { port } = await proxy(t, { peerAddress: `unix:${socket}`, peer: { proxyProtocol } })
      const { body, from } = await ask({ host: '127.0.0.1', port })
      assert.equal(body, `${from} ${port}`)
    })
  }
})

describe('HAProxy before us', { skip: NO_HAPROXY }, () => {
  const kinds = {
    'version 1': 'send-proxy',
    'version 2': 'send-proxy-v2',
    'version 2 with a checksum and an id': 'send-proxy-v2 proxy-v2-options crc32c,unique-id',
  }
  for (const [name, option] of Object.entries(kinds)) {
    test(`tells of its client by ${name}, over a unix socket`, async (t) => {
      const seen: ConnectionDigest[] = []
      const folder = temporaryFolder(t)
      await answering(t, join(folder, 'ours.sock'), (digest) => {
        seen.push(digest)
      })
      const port = await haproxy(t, folder, option)
      const { body, from } = await ask({ host: '127.0.0.1', port })
      assert.equal(body, from)
      const { header } = seen[0]!.proxyProtocol!
      assert.equal(header.version, option === 'send-proxy' ? 1 : 2)
      if (option.includes('unique-id')) {
        assert.equal(tlvText(header.tlvs, TLV.UNIQUE_ID), 'id-in')
        assert.ok(tlvText(header.tlvs, TLV.CRC32C) !== undefined)
      }
    })
  }

  test('says of its health checks that they are its own', { timeout: 10_000 }, async (t) => {
    const folder = temporaryFolder(t)
    let onSeen = (_digest: ConnectionDigest): void => undefined
    const seen = new Promise<ConnectionDigest>((resolve) => (onSeen = resolve))
    await answering(t, join(folder, 'ours.sock'), (digest) => {
      onSeen(digest)
    })
    await haproxy(t, folder, 'send-proxy-v2 check inter 50 check-send-proxy')
    const { peerIp, proxyProtocol } = await seen
    const { header } = proxyProtocol!
    assert.deepEqual([header.command, header.source, peerIp], ['local', null, ''])
  })
})

describe('curl before us', { skip: NO_CURL }, () => {
  test('tells of itself by version 1', async (t) => {
    const { port } = await proxy(t, {
      listener: { proxyProtocol: { trusted: ['127.0.0.0/8'] } },
      hooks: {
        requestFilter: (session) => {
          const { proxyProtocol } = session.digest
          session.respond(200, { body: `${session.clientAddress} ${proxyProtocol?.peerAddress}` })
          return 'responded'
        },
      },
    })
    const args = ['-sS', '--max-time', '10', '--haproxy-protocol', `http://127.0.0.1:${port}/`]
    const { stdout } = await run('curl', args)
    const [client, sender] = stdout.split(' ')
    assert.match(stdout, /^127\.0\.0\.1:\d+ /)
    assert.equal(client, sender)
  })
})

/** HAProxy in front of `ours.sock`, on a port that is free. */
async function haproxy(t: TestContext, folder: string, option: string): Promise<number> {
  const { listeningSockets } = new NodeNetwork()
  const [{ fd, bound }] = await listeningSockets!.listen(
    { kind: 'ip', host: '127.0.0.1', port: 0 },
    {},
  )
  const config = join(folder, 'haproxy.cfg')
  const admin = join(folder, 'admin.sock')
  writeFileSync(
    config,
    `global
  stats socket ${admin}
${DEFAULTS}
frontend in
  unique-id-format id-%f
  bind fd@3
  default_backend ours
backend ours
  server s unix@${join(folder, 'ours.sock')} ${option}
`,
  )
  runProgram(t, ['haproxy', '-db', '-f', config], join(folder, 'log'), fd)
  await untilServed(admin)
  return (bound as { readonly port: number }).port
}

const DEFAULTS = `defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
`
