import { type Algorithm, hash, verify } from '@node-rs/argon2'
import { LapseError } from '../errors.ts'

/** Argon2id with 19 MiB, twice over, in one thread: what OWASP asks for. */
const cost = { algorithm: 2 satisfies Algorithm.Argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 }

const [shortest, longest] = [8, 200]

/** As many at once: the others wait, so that a flood of them takes neither all memory nor all threads of this process. */
const atOnce = 2
/** Some two seconds of work. Beyond that nobody would get an answer in time. */
const mostWaiting = 100
let running = 0
const waiting: (() => void)[] = []

/** @throws LapseError `too_soon` */
const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
  if (waiting.length >= mostWaiting)
    throw new LapseError('too_soon', { detail: 'Many passwords are being compared just now.', retryAfter: 2 })
  if (running < atOnce) running += 1
  else await new Promise<void>((resolve) => waiting.push(resolve))
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    // The turn is handed on, so that nobody comes in between.
    if (next) next()
    else running -= 1
  }
}

/** A letter and its accent may be typed as one character or as two. */
const canonical = (password: string): string => password.normalize('NFKC')

/** What is kept of a password. */
export class HashedPassword {
  readonly hash: string

  private constructor(hashed: string) {
    this.hash = hashed
  }

  /** Takes some 30 ms and 19 MiB: to be done before a transaction, not inside. @throws LapseError `invalid`, `too_soon` */
  static async of(password: string): Promise<HashedPassword> {
    const { length } = [...password]
    if (length < shortest || length > longest)
      throw new LapseError('invalid', { field: 'password', detail: `${shortest} to ${longest} characters.` })
    return new HashedPassword(await inTurn(() => hash(canonical(password), cost)))
  }
}

/** @throws LapseError `too_soon` */
export const isPassword = async (typed: string, hashed: string): Promise<boolean> =>
  typed.length <= 2 * longest && inTurn(() => verify(hashed, canonical(typed)))
