/** `TicketKeys`: the keys that session tickets are encrypted with, the same in all threads. */
import { hkdfSync, randomBytes } from 'node:crypto'
import type { Clock } from '../time/index.js'
import type { TicketKeySource } from './tls-server-options.js'

/**
 * Every 12 hours of the wall clock there is another key, made of the secret of that period; the
 * secret of the next period is made of it too, and then it is forgotten. So who has the state of one
 * moment has the same keys from then on, and cannot make those of before.
 */
export class TicketKeys implements TicketKeySource {
  readonly #clock: Clock
  #period: number
  #secret: Buffer
  #key: Buffer

  /** @param state of another thread or process. Default: a secret of its own. */
  constructor(clock: Clock, state?: string) {
    this.#clock = clock
    this.#period = this.#now()
    this.#secret = randomBytes(SECRET_BYTES)
    this.#key = derive(this.#secret, 'key', KEY_BYTES)
    if (state !== undefined) this.adopt(state)
  }

  current(): Buffer {
    this.#advance()
    return this.#key
  }

  /** What another thread or process needs to have the same keys from now on; secret. */
  get state(): string {
    this.#advance()
    return `${this.#period} ${this.#secret.toString('base64')}`
  }

  /** Takes over the keys of another process; what is no state, or from the future, is left alone. */
  adopt(state: string): void {
    const [period = '', text = ''] = state.split(' ')
    const secret = Buffer.from(text, 'base64')
    const ageInPeriods = this.#now() - Number(period)
    if (secret.length !== SECRET_BYTES || !(ageInPeriods >= 0 && ageInPeriods < MAX_AGE)) return
    this.#use(Number(period), secret)
    this.#advance()
  }

  /** A clock that was set back does not bring an old key back. */
  #advance(): void {
    const now = this.#now()
    if (now <= this.#period) return
    let secret = this.#secret
    // A clock may have been set from 1970 to today.
    for (let period = Math.max(this.#period, now - MAX_AGE); period < now; period++)
      secret = derive(secret, 'next', SECRET_BYTES)
    this.#use(now, secret)
  }

  #use(period: number, secret: Buffer): void {
    this.#period = period
    this.#secret = secret
    this.#key = derive(secret, 'key', KEY_BYTES)
  }

  #now(): number {
    return Math.floor(this.#clock.wallMs() / PERIOD_MS)
  }
}

function derive(secret: Buffer, purpose: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `pingora-ts tickets ${purpose}`, bytes))
}

const PERIOD_MS = 12 * 3_600_000
const SECRET_BYTES = 32
/** What OpenSSL wants: a name, a key for the check and a key for the content. */
const KEY_BYTES = 48
/** Periods; a year and more. */
const MAX_AGE = 1_000
