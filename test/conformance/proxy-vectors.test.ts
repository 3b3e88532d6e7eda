/** The vectors through a whole proxy and real sockets, judged at the client and at the upstream. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { RawClient } from '../helpers/raw-client.js'
import { RecordingBackend } from '../helpers/recording-backend.js'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy } from '../helpers/start-proxy.js'
import { judgeRequest, judgeResponse } from './judge.js'
import type { Observed } from './judge.js'
import { loadVectors } from './vectors.js'
import type { RequestVector } from './vectors.js'

const VECTORS = loadVectors()
let backend: RecordingBackend
let proxy: RunningProxy

before(async () => {
  const answers = new Map(VECTORS.response.map(({ id, text }) => [`/r/${id}`, text]))
  backend = await RecordingBackend.start((path) => {
    const text = answers.get(path)
    return text === undefined ? undefined : { text, close: true }
  })
  proxy = await startProxy(backend.port)
})

after(async () => {
  proxy.destroy()
  await backend.stop()
})

describe('request vectors through the proxy', () => {
  for (const vector of VECTORS.request) {
    test(`${vector.id}: ${vector.note}`, async () => {
      const client = await RawClient.connect(proxy.port)
      try {
        const upstreamBefore = backend.requests.length
        client.write(vector.text)
        await untilAnswered(client, vector)
        const observed = await settle(client, upstreamBefore)
        assert.deepEqual(judgeRequest(vector, observed), [])
      } finally {
        client.destroy()
      }
    })
  }
})

describe('response vectors through the proxy', () => {
  for (const vector of VECTORS.response) {
    test(`${vector.id}: ${vector.note}`, async () => {
      const client = await RawClient.connect(proxy.port)
      const methods = [vector.method ?? 'GET']
      try {
        const upstreamBefore = backend.requests.length
        client.write(`${methods[0]} /r/${vector.id} HTTP/1.1\r\nHost: h.test\r\n\r\n`)
        await client.until('an answer', () => client.ended || client.responses(methods).length > 0)
        const observed = await settle(client, upstreamBefore, methods)
        assert.deepEqual(judgeResponse(vector, observed), [])
      } finally {
        client.destroy()
      }
    })
  }
})

/** Waits for as much of an outcome as the class makes certain. */
async function untilAnswered(client: RawClient, vector: RequestVector): Promise<void> {
  if (vector.cls === 'wait') return
  const wanted = vector.responses ?? 1
  await client.until('an answer', () => client.ended || client.responses().length >= wanted)
  const mayGoOn = client.responses().every(({ status }) => status < 400) && vector.close !== true
  if (vector.cls === 'accept-close' || !mayGoOn) await client.until('a close', () => client.ended)
}

/**
 * Sends clean requests on connections of their own. Each must get its own answer; and when two have
 * made their way to the upstream and back, what the proxy was going to do before is done.
 */
async function settle(
  client: RawClient,
  upstreamBefore: number,
  methods?: readonly string[],
): Promise<Observed> {
  const probes = ['/probe-1', '/probe-2']
  for (const path of probes) {
    const probe = await RawClient.connect(proxy.port)
    probe.write(`GET ${path} HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n`)
    await probe.until('the answer to a clean request', () => probe.ended)
    const [answer, ...others] = probe.responses()
    assert.deepEqual([answer?.status, answer?.body, others.length], [200, 'OK', 0])
    probe.destroy()
  }
  const seen = backend.requests.slice(upstreamBefore)
  assert.deepEqual(
    seen.slice(-2).map(({ path }) => path),
    probes,
  )
  return {
    responses: client.responses(methods),
    clientText: client.text,
    closed: client.ended,
    upstream: seen.slice(0, -2),
  }
}
