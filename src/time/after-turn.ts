/** `afterTurn`: calls back when the event loop has told all that has come in this turn. */

/** Taken now: what waits for its turn must get it though a test has put fake timers in place. */
export const afterTurn: (callback: () => void) => void = globalThis.setImmediate
