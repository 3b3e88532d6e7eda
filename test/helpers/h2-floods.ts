/** What clients send that only costs work, frame by frame; each kind of it in rounds. */
import { GET, H2_ERROR } from './frame-client.js'
import type { FrameClient } from './frame-client.js'
import * as h2 from './h2-frames.js'

/** One kind of attack, sent in rounds until the connection ends. */
export interface Flood {
  readonly what: string
  readonly round: (client: FrameClient, index: number) => void
}

const POST: readonly (readonly [string, string])[] = [[':method', 'POST'], ...GET.slice(1)]

/** Requests of a round. */
const ROUND_FRAMES = 200
/** Frames of a round, where nothing of them has to be made anew. */
const MANY_FRAMES = 4_000

/** Requests, each spoiled by what follows its head. */
function spoiled(
  what: string,
  spoil: (client: FrameClient, stream: number) => void,
  fields: readonly (readonly [string, string])[] = GET,
  flags: number = h2.END_STREAM,
): Flood {
  const round = (client: FrameClient, index: number): void => {
    for (let n = 0; n < ROUND_FRAMES; n++) {
      const stream = 1 + 2 * (index * ROUND_FRAMES + n)
      client.request(stream, fields, flags)
      spoil(client, stream)
    }
  }
  return { what, round }
}

/** One frame again and again. @param opens a request that it belongs to. */
function same(what: string, bytes: Uint8Array, opens: boolean = false): Flood {
  const many = Buffer.concat(Array.from({ length: MANY_FRAMES }, () => bytes))
  const round = (client: FrameClient, index: number): void => {
    if (opens && index === 0) client.request(1, POST, 0)
    client.write(many)
  }
  return { what, round }
}

/** One entry of the dynamic table, and references of one byte to it: 16 MiB of fields. */
function headerBomb(client: FrameClient, stream: number): void {
  const name = Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e])
  client.send(h2.HEADERS, h2.END_STREAM, stream, h2.fields(GET))
  client.send(h2.CONTINUATION, 0, stream, Buffer.concat([name, Buffer.alloc(4_000, 'x')]))
  client.send(h2.CONTINUATION, h2.END_HEADERS, stream, Buffer.alloc(4_200, 0xbe))
}

/** They all end the connection of their client. */
export const FLOODS: readonly Flood[] = [
  spoiled('requests that are broken off at once (rapid reset, CVE-2023-44487)', (client, stream) =>
    client.send(h2.RST_STREAM, 0, stream, h2.words(H2_ERROR.CANCEL)),
  ),
  spoiled('requests that are broken off without an error', (client, stream) =>
    client.send(h2.RST_STREAM, 0, stream, h2.words(H2_ERROR.NO_ERROR)),
  ),
  // Only nghttp2 itself can say no to these, and resets the stream.
  spoiled('windows that overflow (MadeYouReset, CVE-2025-8671)', (client, stream) =>
    client.send(h2.WINDOW_UPDATE, 0, stream, h2.words(2 ** 31 - 1)),
  ),
  spoiled('windows that grow by nothing (MadeYouReset)', (client, stream) =>
    client.send(h2.WINDOW_UPDATE, 0, stream, h2.words(0)),
  ),
  spoiled('DATA behind the end of the stream (MadeYouReset)', (client, stream) =>
    client.send(h2.DATA, 0, stream, Buffer.from('x')),
  ),
  spoiled('streams that depend on themselves (MadeYouReset)', (client, stream) =>
    client.send(h2.PRIORITY, 0, stream, Buffer.concat([h2.words(stream), Buffer.from([1])])),
  ),
  spoiled('PRIORITY of another length (MadeYouReset)', (client, stream) =>
    client.send(h2.PRIORITY, 0, stream, Buffer.from([1])),
  ),
  spoiled(
    'bodies longer than their length (MadeYouReset)',
    (client, stream) => client.send(h2.DATA, h2.END_STREAM, stream, Buffer.from('xyz')),
    [...POST, ['content-length', '2']],
    0,
  ),
  spoiled('heads that RFC 9113 calls malformed', () => undefined, [...GET, ['X-A', 'b']]),
  spoiled('requests that we refuse ourselves', () => undefined, [...GET, ['host', 'b.example']]),
  {
    what: 'heads of 16 MiB (header bomb)',
    round: (client, index) => {
      headerBomb(client, 1 + 2 * index)
    },
  },
  {
    what: 'a head that never ends (CONTINUATION flood)',
    round: (client, index) => {
      if (index === 0) client.send(h2.HEADERS, h2.END_STREAM, 1, h2.fields(GET))
      for (let n = 0; n < ROUND_FRAMES; n++)
        client.send(h2.CONTINUATION, 0, 1, h2.fields([[`x-${index}-${n}`, 'y'.repeat(1_000)]]))
    },
  },
  {
    what: 'settings (CVE-2019-9515)',
    round: (client) => {
      for (let n = 0; n < ROUND_FRAMES; n++) client.write(h2.settings({ 4: 65_535 + n }))
    },
  },
  same('pings (CVE-2019-9512)', h2.frame(h2.PING, 0, 0, new Uint8Array(8))),
  same('empty DATA (CVE-2019-9518)', h2.frame(h2.DATA, 0, 1), true),
  same('WINDOW_UPDATE of the connection', h2.frame(h2.WINDOW_UPDATE, 0, 0, h2.words(1))),
  same('WINDOW_UPDATE of a stream', h2.frame(h2.WINDOW_UPDATE, 0, 1, h2.words(1)), true),
  same('PRIORITY (CVE-2019-9513)', h2.frame(h2.PRIORITY, 0, 1, Buffer.from([0, 0, 0, 3, 1])), true),
  same('frames of an unknown type', h2.frame(0x7f, 0, 0, new Uint8Array(100))),
  same('RST_STREAM of a stream that is over', h2.frame(h2.RST_STREAM, 0, 1, h2.words(8)), true),
]
