import { randomUUID } from 'node:crypto'
import type { Client } from './client.ts'
import type { Answer, Instant, KindName, Life, Operation, Verb } from './history.ts'
import type { Random } from './random.ts'
import { type Ask, type Known, understood, ways } from './ways.ts'

export interface World {
  readonly client: Client
  readonly now: () => Instant
  readonly sinkUrl: string
  /** What was mailed to an address that is one life's own. */
  readonly mailed: (name: string) => string | undefined
  readonly note: (operation: Operation) => void
  /** Whether to bring everything to its end. */
  readonly hurry: () => boolean
}

const kinds = Object.keys(ways) as KindName[]

const idAndToken = ({ id, token }: Known): Partial<Known> => ({ id, token })

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))

/** One resource from its issue to its end, and a little longer, as a seeded chance has it. */
export const live = async (n: number, random: Random, longestSeconds: number, world: World): Promise<Life> => {
  const kind = random.pick(kinds)
  const name = `${kind}-${n}`
  const { graceSeconds = 0, maxUses, staysUsedUp, issue, ...way } = ways[kind]
  const seconds = way.seconds ?? random.whole(2, longestSeconds)
  const lifeMs = (seconds + graceSeconds) * 1_000
  const facts = {
    ...{ name, kind, ...(maxUses && { maxUses }), ...(staysUsedUp && { staysUsedUp }) },
    ...(graceSeconds && { graceMs: graceSeconds * 1_000 }),
  }
  const one: Known = { name, id: '' }
  const holding = (): Known => ({ ...one, ...(one.token === undefined && { token: world.mailed(name) }) })
  let isOver = false

  /** Asks until there is an answer, under one key, as long as a patient client would. */
  const ask = async (verb: Verb, asked: Ask | undefined, wantedMs?: number): Promise<Answer | undefined> => {
    if (!asked) return undefined
    const key = verb === 'check' ? undefined : randomUUID()
    const start = world.now()
    const note = (answer: Answer) =>
      world.note({
        ...{ life: name, verb, start, end: world.now(), answer, ...(wantedMs && { lifeMs: wantedMs }) },
        ...(asked.goodUntil && { goodUntil: asked.goodUntil }),
      })
    let isOpen = false
    for (let tries = 1; ; tries++) {
      const got = await world.client.ask(asked.method, asked.path, asked.body, key)
      const answer = understood(kind, verb, got)
      const isKnown = answer && answer.is !== 'unknown'
      if (isKnown || tries === 12) {
        // What was not answered before may have been done meanwhile, or be done yet.
        const isSure = answer && (!isOpen || answer.is === 'done' || verb === 'check')
        const told: Answer = isSure ? answer : { is: 'unknown', why: `${tries} tries` }
        const keep = verb === 'issue' ? (way.keep ?? idAndToken) : verb === 'consume' ? way.keep : undefined
        if (told.is === 'done') Object.assign(one, keep?.(got?.body))
        if ((verb === 'revoke' || verb === 'expire') && told.is === 'done') isOver = true
        if (told.is === 'denied') isOver = true
        note(told)
        return told
      }
      if (answer) isOpen = true
      if (verb === 'check') {
        // It has changed nothing, and is asked anew; unless it may have moved the end.
        if (wantedMs) note({ is: 'unknown', why: 'no answer' })
        return undefined
      }
      await sleep(Math.min(2_000, 200 * tries))
    }
  }

  const issued = await ask('issue', issue(name, seconds, world.sinkUrl), lifeMs)
  if (issued?.is !== 'done') return facts
  const life: Life = { ...facts, id: one.id }
  let endsAt = issued.endsAt ?? world.now() + lifeMs
  const remaining = () => endsAt - world.now()

  const renew = async (least: number, most: number) => {
    if (!way.renew) return
    const wanted = random.whole(least, most)
    const renewed = await ask('renew', way.renew(one, wanted), (wanted + graceSeconds) * 1_000)
    if (renewed?.is === 'done' && renewed.endsAt !== undefined) endsAt = renewed.endsAt
    else if (renewed?.is === 'unknown') endsAt = Math.max(endsAt, world.now() + (wanted + graceSeconds) * 1_000)
  }
  const check = async () => {
    const checked = await ask('check', way.check(holding()), way.slides ? lifeMs : undefined)
    if (checked?.is === 'allowed' && checked.endsAt !== undefined) endsAt = Math.max(endsAt, checked.endsAt)
  }
  const consume = () => ask('consume', way.consume?.(holding(), `holder-${random.whole(1, 3)}`))
  const revoke = () => ask('revoke', way.revoke(one))
  const acts: (() => Promise<unknown>)[] = [
    ...Array.from({ length: 9 }, () => check),
    ...Array.from({ length: 2 }, () => consume),
    () => renew(3, longestSeconds),
    () => renew(1, 2),
    () => Promise.all([consume(), consume(), consume(), consume()]),
    () => Promise.all([check(), renew(2, 4), consume()]),
    ...(random.chance(0.3) ? [revoke] : []),
    ...(random.chance(0.15) ? [() => ask('expire', way.expire?.(one))] : []),
  ]
  while (remaining() > 0 && !isOver) {
    await sleep(Math.min(random.between(100, 2_000), remaining() - 20))
    // Just before its end, at it, and just after it.
    if (remaining() < 40) for (let i = 0; i < 3; i++) await Promise.all([check(), sleep(25)])
    else if (world.hurry()) await check()
    else await random.pick(acts)()
  }
  await sleep(random.between(0, 500))
  await Promise.all([check(), consume()])
  if (random.chance(0.2)) await renew(2, 4)
  if (random.chance(0.2)) await revoke()
  return life
}
