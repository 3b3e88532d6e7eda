/** A client that sends HTTP/2 frames to a proxy in memory, in virtual time. */
import type { TestContext } from 'node:test'
import { parseSocketAddress } from '../../src/transport/index.js'
import type { ConnectionHandler } from '../../src/transport/index.js'
import { FrameClient } from './frame-client.js'
import * as h2 from './h2-frames.js'
import { testProxy } from './test-world.js'
import type { ProxyInWorld, ProxySetup } from './test-world.js'

/** A proxy that speaks HTTP/2 in the clear, and a client of it. */
export interface ProxyWithFrameClient extends ProxyInWorld {
  readonly client: FrameClient
}

/** Starts a proxy, and a client that has exchanged prefaces with it. @param own what it says first. */
export async function frameClient(
  t: TestContext,
  setup: ProxySetup = {},
  own?: Uint8Array,
): Promise<ProxyWithFrameClient> {
  const inWorld = await testProxy(t, { ...setup, listener: { h2c: true } })
  const { world, proxy } = inWorld
  const connection = await world.run(world.network.dial(parseSocketAddress(proxy.address), {}))
  connection.handler = NOBODY
  const client = new FrameClient(connection.takeDuplex())
  client.begin(own)
  await world.until(
    () => client.find(h2.SETTINGS) !== undefined,
    'the SETTINGS of the server',
    1_000,
  )
  return { ...inWorld, client }
}

const NOBODY: ConnectionHandler = {
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}
