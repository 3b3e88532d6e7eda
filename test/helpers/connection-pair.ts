/** Two ends of a real TCP connection on the loopback interface. */
import type { TestContext } from 'node:test'
import { NodeNetwork } from '../../src/transport/index.js'
import type { Connection, NodeNetworkOptions, SocketAddress } from '../../src/transport/index.js'
import { Recorder } from './recorder.js'

/** Any free port on the loopback interface. */
export const LOOPBACK = { kind: 'ip', host: '127.0.0.1', port: 0 } as const

export interface ConnectionPair {
  readonly dialled: Connection
  readonly accepted: Connection
}

/** Two ends of one connection, both paused; destroyed after the test. */
export async function connectionPair(
  t: TestContext,
  options: NodeNetworkOptions = {},
  address: SocketAddress = LOOPBACK,
): Promise<ConnectionPair> {
  const network = new NodeNetwork(options)
  let accept: (connection: Connection) => void
  const accepting = new Promise<Connection>((resolve) => {
    accept = resolve
  })
  const listener = await network.listen(address, {}, (connection) => {
    accept(connection)
  })
  const dialled = await network.dial(listener.address, {})
  const accepted = await accepting
  t.after(async () => {
    dialled.destroy()
    accepted.destroy()
    await listener.close()
  })
  return { dialled, accepted }
}

/** Gives the kernel and the event loop time to deliver: other connections make round trips. */
export async function otherSocketsTurn(t: TestContext): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    const { dialled, accepted } = await connectionPair(t, { io: 'sockets' })
    const [near, far] = [new Recorder(dialled), new Recorder(accepted)]
    dialled.write('ping')
    await far.until(() => far.bytes === 4)
    accepted.write('pong')
    await near.until(() => near.bytes === 4)
  }
}
