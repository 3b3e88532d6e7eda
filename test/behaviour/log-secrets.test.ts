import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { reply } from '../../src/testing/index.js'
import type { Reply } from '../../src/testing/index.js'
import { testProxy } from '../helpers/test-world.js'
import type { ProxySetup } from '../helpers/test-world.js'

const SECRET = 's3cret'
const FIELDS = [
  `Authorization: Bearer ${SECRET}`,
  `Proxy-Authorization: Basic ${SECRET}`,
  `Cookie: session=${SECRET}`,
  `X-Api-Key: ${SECRET}`,
].join('\r\n')
const head = (target: string, more = 'Host: a'): string =>
  `GET ${target} HTTP/1.1\r\n${more}\r\n${FIELDS}\r\n\r\n`
const GET = head(`/?token=${SECRET}`)
const ANSWER = `HTTP/1.1 200 OK\r\nSet-Cookie: session=${SECRET}\r\n`

interface Case {
  readonly what: string
  readonly request: string
  readonly answer?: Reply | 'down'
  readonly setup?: ProxySetup
}

const CASES: readonly Case[] = [
  { what: 'an upstream that is down', request: GET, answer: 'down' },
  { what: 'an upstream that closes', request: GET, answer: reply.close() },
  { what: 'no upstream', request: GET, setup: { hooks: { upstreamPeer: () => undefined } } },
  {
    what: 'a malformed line in an answer',
    request: GET,
    answer: reply.raw(`${ANSWER}WWW-Authenticate : ${SECRET}\r\n\r\n`),
  },
  {
    what: 'an answer of two lengths',
    request: GET,
    answer: reply.raw(`${ANSWER}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`),
  },
  { what: 'a malformed line', request: head('/', `Host: a\r\nAuthorization : ${SECRET}`) },
  { what: 'a user in Host', request: head('/', `Host: me:${SECRET}@a`) },
  { what: 'a user in the target', request: head(`http://me:${SECRET}@a/`) },
  { what: 'a length that is none', request: head('/', `Host: a\r\nContent-Length: ${SECRET}`) },
  {
    what: 'a hook that sets what cannot be sent',
    request: GET,
    setup: {
      hooks: {
        upstreamRequestFilter: (_session, header) => {
          header.insertHeader('Authorization', `Bearer ${SECRET}\n`)
        },
      },
    },
  },
]

describe('no log line and no answer shows a credential', () => {
  for (const { what, request, answer, setup } of CASES) {
    test(what, async (t) => {
      const { world, proxy, upstream } = await testProxy(t, setup)
      if (answer === 'down') upstream.down()
      else if (answer !== undefined) upstream.answer(answer)
      const { peer: client } = await proxy.client()
      client.send(request)
      await client.untilText('\r\n\r\n')
      assert.match(client.text, /^HTTP\/1\.1 [45]\d\d /)
      assert.ok(!client.text.includes(SECRET))
      await world.idle()
      const shown = JSON.stringify(world.log)
      assert.ok(!shown.includes(SECRET), shown)
    })
  }
})
