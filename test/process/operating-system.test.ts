import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RawClient } from '../helpers/raw-client.js'
import { startTextBackend } from './backend.js'
import { runCommand } from './run-program.js'

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

describe('the operating system below the balancer', { timeout: 30_000 }, () => {
  test('no descriptor left: pauses, says so once, and serves those who waited when it has some', async (t) => {
    const backend = await startTextBackend(t, 'hello')
    const args = ['proxy', '--listen', '127.0.0.1:0', '--to', backend.address]
    const program = runCommand(t, args, { maxDescriptors: 256 })
    const port = Number((await program.listening()).split(':')[1])
    const clients: RawClient[] = []
    t.after(() => {
      for (const client of clients) client.destroy()
    })
    while (clients.length < 300) clients.push(await RawClient.connect(port))
    await program.match(/accepting failed, trying again each second .*too many open files/)
    // Those who hold a descriptor leave, and the others get theirs: nobody was turned away.
    for (const client of clients.splice(0, 270)) client.destroy()
    for (const client of clients) {
      client.write(REQUEST)
      await client.until('an answer', () => client.text.endsWith('hello'))
      client.destroy()
    }
    assert.equal(program.stderr.match(/accepting failed/g)?.length, 1)
  })

  test('no koffi: serves by the handles of Node', async (t) => {
    const backend = await startTextBackend(t, 'hello')
    const args = ['proxy', '--listen', '127.0.0.1:0', '--to', backend.address]
    const preload = new URL('./no-koffi.js', import.meta.url).href
    const program = runCommand(t, args, { preload })
    const client = await RawClient.connect(Number((await program.listening()).split(':')[1]))
    client.write(REQUEST)
    await client.until('an answer', () => client.text.endsWith('hello'))
    client.destroy()
    program.kill('SIGTERM')
    assert.equal((await program.ended).code, 0)
  })
})
