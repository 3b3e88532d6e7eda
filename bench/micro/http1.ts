/** Micro-benchmarks of the HTTP/1 codec: heads in, heads out, and bodies in between. */
import {
  BodyDecoder,
  CHUNKED,
  REQUEST_LIMITS,
  SectionReader,
  parseRequestHead,
  parseResponseHead,
  requestSectionLimits,
  writeRequestHead,
  writeResponseHead,
} from '../../src/protocols/h1/index.js'
import { BROWSER_REQUEST, SMALL_REQUEST, SMALL_RESPONSE } from './heads.js'
import type { MicroCase } from './harness.js'

export const HTTP1_CASES: readonly MicroCase[] = [
  findCase('find the end of a small request head', SMALL_REQUEST),
  findCase("find the end of a browser's request head", BROWSER_REQUEST),
  requestCase('parse a small request head', SMALL_REQUEST),
  requestCase("parse a browser's request head", BROWSER_REQUEST),
  responseCase('parse a small response head', SMALL_RESPONSE),
  writeRequestCase('write a small request head', SMALL_REQUEST),
  writeRequestCase("write a browser's request head", BROWSER_REQUEST),
  writeResponseCase('write a small response head', SMALL_RESPONSE),
  chunkedCase('decode 64 KiB in chunks of 4 KiB', 16, 4_096),
  chunkedCase('decode 64 KiB in chunks of 64 bytes', 1_024, 64),
]

function findCase(name: string, head: string): MicroCase {
  const buffer = Buffer.from(head, 'latin1')
  const reader = new SectionReader(requestSectionLimits(REQUEST_LIMITS))
  return { name, bytes: buffer.length, run: () => reader.feed(buffer, 0, buffer.length) }
}

function requestCase(name: string, head: string): MicroCase {
  const buffer = Buffer.from(head, 'latin1')
  return {
    name,
    bytes: buffer.length,
    run: () => parseRequestHead(buffer, 0, buffer.length)!.bodyLength,
  }
}

function responseCase(name: string, head: string): MicroCase {
  const buffer = Buffer.from(head, 'latin1')
  return {
    name,
    bytes: buffer.length,
    run: () => parseResponseHead(buffer, 0, buffer.length, 'GET')!.bodyLength,
  }
}

function writeRequestCase(name: string, head: string): MicroCase {
  const buffer = Buffer.from(head, 'latin1')
  const { header } = parseRequestHead(buffer, 0, buffer.length)!
  return {
    name,
    bytes: writeRequestHead(header, 0, 'default').length,
    run: () => builtLength(writeRequestHead(header, 0, 'default')),
  }
}

function writeResponseCase(name: string, head: string): MicroCase {
  const buffer = Buffer.from(head, 'latin1')
  const { header, bodyLength } = parseResponseHead(buffer, 0, buffer.length, 'GET')!
  return {
    name,
    bytes: writeResponseHead(header, bodyLength, 'keep-alive').length,
    run: () => builtLength(writeResponseHead(header, bodyLength, 'keep-alive')),
  }
}

// Without a throughput: the decoder steps over the data and only points at it.
function chunkedCase(name: string, chunks: number, bytesPerChunk: number): MicroCase {
  const chunk = `${bytesPerChunk.toString(16)}\r\n${'x'.repeat(bytesPerChunk)}\r\n`
  const buffer = Buffer.from(`${chunk.repeat(chunks)}0\r\n\r\n`)
  const decoder = new BodyDecoder({
    invalidCode: 'PGR_REQUEST_INVALID',
    incompleteCode: 'PGR_REQUEST_INVALID',
  })
  return {
    name,
    run: () => {
      let dataBytes = 0
      decoder.start(CHUNKED)
      for (let at = 0; !decoder.done;) {
        at = decoder.next(buffer, at, buffer.length)
        dataBytes += decoder.dataEnd - decoder.dataStart
      }
      return dataBytes
    },
  }
}

// A string that was only joined is not built yet; reading one character of it is what builds it.
function builtLength(text: string): number {
  return text.length + text.charCodeAt(text.length - 1)
}
