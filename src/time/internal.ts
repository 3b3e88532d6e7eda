/** What transport and `testing` share with the clock: turns of the true event loop. */
export { afterTurn } from './after-turn.js'
export { EVENT_TURN_TRIGGER_ID, PromiseTurns, eventTurn } from './event-turn.js'
export { TurnEnd } from './turn-end.js'
