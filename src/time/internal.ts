/** What `testing` shares with the clock: turns of the true event loop. */
export { EVENT_TURN_TRIGGER_ID, PromiseTurns, eventTurn } from './event-turn.js'
