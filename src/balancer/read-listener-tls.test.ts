import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { testCa } from '../../test/helpers/certificates.js'
import { ConfigDocument } from '../configuration/index.js'
import { ProxyError } from '../error/index.js'
import type { ListenerTls } from '../proxy/index.js'
import { readBalancer } from './read-balancer.js'

describe('tls of a listener', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pingora-'))
  const path = (name: string): string => join(folder, name)

  before(async () => {
    const ca = await testCa()
    writeFileSync(path('ca.crt'), ca.cert)
    for (const name of ['a', 'b']) {
      const { cert, key } = await ca.issue({ names: [`${name}.test`] })
      writeFileSync(path(`${name}.crt`), cert)
      writeFileSync(path(`${name}.key`), key)
    }
    writeFileSync(path('a.ocsp'), 'a response')
    writeFileSync(path('tickets'), Buffer.alloc(48))
    writeFileSync(path('short'), Buffer.alloc(47))
    writeFileSync(path('empty'), '')
  })
  after(() => {
    rmSync(folder, { recursive: true })
  })

  function read(tls: string): ListenerTls | undefined {
    const text = `listeners: [{ address: '127.0.0.1:0', tls: ${tls} }]\nupstreams: { a: { backends: [{ address: 'b:1' }] } }\n`
    return readBalancer(new ConfigDocument(text, path('F'))).settings.listeners[0]?.tls
  }

  const A = { certFile: path('a.crt'), keyFile: path('a.key') }
  const B = { certFile: path('b.crt'), keyFile: path('b.key') }
  const accepted: [string, ListenerTls][] = [
    ['{ cert: a.crt, key: a.key }', { certificates: [A] }],
    ['[{ cert: a.crt, key: a.key }, { cert: b.crt, key: b.key }]', { certificates: [A, B] }],
    ['{ certificates: [{ cert: b.crt, key: b.key }] }', { certificates: [B] }],
    [
      '{ cert: a.crt, key: a.key, ocsp: a.ocsp, certificates: [{ cert: b.crt, key: b.key }], client_ca: ca.crt, client_cert: optional, min_version: 1.3, ciphers: ECDHE-RSA-AES128-GCM-SHA256, handshake_timeout: 5s, max_handshakes: 10, ticket_key: tickets, key_log: keys.log }',
      {
        certificates: [{ ...A, ocspFile: path('a.ocsp') }, B],
        clientCertificates: { caFile: path('ca.crt'), required: false },
        minVersion: 'TLSv1.3',
        ciphers: 'ECDHE-RSA-AES128-GCM-SHA256',
        handshakeTimeoutMs: 5_000,
        maxHandshakes: 10,
        ticketKeyFile: path('tickets'),
        keyLogFile: path('keys.log'),
      },
    ],
    [
      '{ cert: a.crt, key: a.key, client_ca: ca.crt, min_version: "1.2" }',
      {
        certificates: [A],
        clientCertificates: { caFile: path('ca.crt'), required: true },
        minVersion: 'TLSv1.2',
      },
    ],
  ]
  for (const [tls, expected] of accepted) {
    test(`reads ${tls}`, () => {
      assert.deepEqual(read(tls), expected)
    })
  }

  const refused: [string, string][] = [
    ['{}', '1:44: listeners[0].tls: no certificate; expected cert and key, or certificates'],
    ['[]', '1:44: listeners[0].tls: empty; expected at least one certificate'],
    ['yes', '1:44: listeners[0].tls: got "yes"; expected a mapping'],
    ['{ cert: a.crt }', '1:44: listeners[0].tls: cert and key belong together; expected both'],
    [
      '{ cert: a.crt, key: b.key }',
      '1:64: listeners[0].tls.key: P/b.key: does not belong to the certificate',
    ],
    [
      '{ cert: no.crt, key: a.key }',
      '1:52: listeners[0].tls.cert: P/no.crt cannot be read: no such file',
    ],
    [
      '{ cert: a.key, key: a.key }',
      '1:52: listeners[0].tls.cert: P/a.key: holds no certificate; expected PEM',
    ],
    [
      '[{ cert: a.crt, key: a.key }, { cert: b.crt, kay: b.key }]',
      '1:74: listeners[0].tls[1].key: missing; expected the path of a PEM file\nP/F:1:89: listeners[0].tls[1].kay: unknown key; did you mean key?',
    ],
    ['{ cert: a.crt, key: a.key, ocsp: empty }', '1:77: listeners[0].tls.ocsp: P/empty: is empty'],
    [
      '{ cert: a.crt, key: a.key, ticket_key: short }',
      '1:83: listeners[0].tls.ticket_key: P/short: has 47 bytes; expected 48, such as openssl rand 48 makes',
    ],
    [
      '{ cert: a.crt, key: a.key, client_cert: optional }',
      '1:84: listeners[0].tls.client_cert: needs client_ca, whose certificates are trusted',
    ],
    [
      '{ cert: a.crt, key: a.key, min_version: 1.1 }',
      '1:84: listeners[0].tls.min_version: got 1.1; expected 1.2 or 1.3',
    ],
  ]
  for (const [tls, expected] of refused) {
    test(`says what is wrong with ${tls}, and where`, () => {
      assert.equal(messageOf(() => read(tls)).replaceAll(folder, 'P'), `P/F:${expected}`)
    })
  }

  test('knows cipher suites', () => {
    const message = messageOf(() => read('{ cert: a.crt, key: a.key, ciphers: NONSENSE }'))
    assert.match(message, /listeners\[0\]\.tls\.ciphers: TLS: .*no cipher match/i)
  })
})

function messageOf(read: () => unknown): string {
  try {
    read()
  } catch (thrown) {
    if (thrown instanceof ProxyError) return thrown.message
    throw thrown
  }
  return 'accepted'
}
