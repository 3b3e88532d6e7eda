import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { describe, test } from 'node:test'
import { EVENT_TURN_TRIGGER_ID, PromiseTurns, eventTurn } from './internal.js'

describe('eventTurn', () => {
  test('comes after all promises that could settle, however many there are in a row', async () => {
    let steps = 0
    const run = async (): Promise<void> => {
      for (let step = 0; step < 1_000; step++) {
        await Promise.resolve()
        steps++
      }
    }
    const ran = run()
    await eventTurn()
    assert.equal(steps, 1_000)
    await ran
  })

  test('lets immediates run that were asked for before it', async () => {
    let ran = false
    setImmediate(() => {
      ran = true
    })
    await eventTurn()
    assert.ok(ran)
  })

  test('is told by its trigger from the immediates of others', async (t) => {
    const triggers: number[] = []
    const hook = createHook({
      init: (_id, type, triggerId) => {
        if (type === 'Immediate') triggers.push(triggerId)
      },
    })
    hook.enable()
    t.after(() => {
      hook.disable()
    })
    const turn = eventTurn()
    const other = new Promise((resolve) => setImmediate(resolve))
    hook.disable()
    await Promise.all([turn, other])
    assert.equal(triggers.length, 2)
    assert.equal(triggers[0], EVENT_TURN_TRIGGER_ID)
    assert.notEqual(triggers[1], EVENT_TURN_TRIGGER_ID)
  })
})

describe('PromiseTurns', () => {
  test('each comes after all promises that could settle', async () => {
    const turns = new PromiseTurns()
    for (let turn = 0; turn < 50; turn++) {
      let steps = 0
      const run = async (): Promise<void> => {
        for (let step = 0; step < 100; step++) {
          await Promise.resolve()
          steps++
        }
      }
      const ran = run()
      await turns.next()
      assert.equal(steps, 100, `turn ${turn}`)
      await ran
    }
  })

  test('lets the event loop go round now and then', async () => {
    const turns = new PromiseTurns()
    let ran = false
    setImmediate(() => {
      setImmediate(() => {
        ran = true
      })
    })
    for (let turn = 0; turn < 100; turn++) await turns.next()
    assert.ok(ran)
  })

  test('goes on after a pause in which its immediates came to nobody', async () => {
    const turns = new PromiseTurns()
    await turns.next()
    await eventTurn()
    await eventTurn()
    await turns.next()
  })
})
