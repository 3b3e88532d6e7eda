import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isGranted, passableProtocols } from './upgrade-protocols.js'

describe('passableProtocols', () => {
  for (const [list, passed] of [
    ['websocket', 'websocket'],
    ['WebSocket', 'WebSocket'],
    [' a/1 ,, b\t', 'a/1, b'],
    ['TLS/1.0, HTTP/1.1', 'TLS/1.0'],
    ['h2c', null],
    ['H2C, h2, HTTP/2.0, http', null],
    ['h2c-like, h2cx', 'h2c-like, h2cx'],
    ['a b, c/d/e, "x", /1, a/', null],
    ['', null],
    [', ,', null],
  ] as const) {
    test(`of ${JSON.stringify(list)}`, () => {
      assert.equal(passableProtocols(list), passed)
    })
  }
})

describe('isGranted', () => {
  for (const [granted, asked, is] of [
    ['websocket', 'websocket', true],
    ['WebSocket', 'websocket', true],
    ['b', 'a, b', true],
    ['b, a', 'a, b', true],
    ['a/2', 'a/1', false],
    ['a, c', 'a, b', false],
    ['', 'a', false],
    [null, 'a', false],
    ['a', null, false],
    [null, null, false],
  ] as const) {
    test(`${String(granted)} for ${String(asked)}: ${is}`, () => {
      assert.equal(isGranted(granted, asked), is)
    })
  }
})
