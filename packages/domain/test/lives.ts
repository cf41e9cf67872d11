import fc from 'fast-check'
import * as lifecycle from '../src/lifecycle.ts'

/** Random terms, and random things that happen to a life: what the properties and the conformance tests draw from. */

export const someTerms: fc.Arbitrary<lifecycle.Terms> = fc
  .record({
    minLife: fc.integer({ min: 1, max: 5_000 }),
    room: fc.oneof(fc.constant(0), fc.integer({ min: 50_000, max: 900_000 })),
    grace: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50_000 })),
    reminders: fc.uniqueArray(fc.integer({ min: 1, max: 90 }), { maxLength: 4 }),
    retention: fc.integer({ min: 0, max: 100_000 }),
    maxUses: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 4 })),
    staysUsedUp: fc.boolean(),
  })
  .map(({ room, reminders, ...terms }) => ({
    ...terms,
    maxLife: terms.minLife + room,
    reminders: reminders.sort((a, b) => b - a),
  }))

export const verbs = ['advance', 'renew', 'consume', 'suspend', 'restore', 'revoke', 'expire'] as const
export type Verb = (typeof verbs)[number]

/** What ends a life is seldom, so that there is something to tell. */
const someVerb = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Verb>('advance') },
  { weight: 5, arbitrary: fc.constant<Verb>('renew') },
  { weight: 2, arbitrary: fc.constant<Verb>('consume') },
  { weight: 2, arbitrary: fc.constantFrom<Verb>('suspend', 'restore') },
  { weight: 3, arbitrary: fc.constantFrom<Verb>('revoke', 'expire') },
)

/** An instant a millisecond around one that matters, or any. */
export interface Moment {
  readonly mark: 'now' | 'starts' | 'due' | 'expires' | 'ends' | 'reminder' | 'shortest' | 'longest' | 'any'
  readonly delta: number
  readonly any: number
}

const moment = (...marks: Moment['mark'][]): fc.Arbitrary<Moment> =>
  fc.record({
    mark: fc.constantFrom(...marks),
    delta: fc.integer({ min: -1, max: 1 }),
    any: fc.integer({ min: 0, max: 120_000 }),
  })

const someAct = (verb: fc.Arbitrary<Verb>, when: fc.Arbitrary<Moment>) =>
  fc.record({
    verb,
    when,
    until: moment('shortest', 'longest', 'expires', 'any', 'any', 'any'),
    onlyLater: fc.constantFrom(false, false, true),
  })

const sometime = moment('now', 'now', 'starts', 'due', 'reminder', 'expires', 'ends', 'any')
/** Most lives are over before a suspension is lifted by chance. */
const interlude = fc.tuple(
  someAct(fc.constant('suspend'), moment('now', 'any')),
  someAct(fc.constant('restore'), moment('now', 'due', 'reminder')),
)

/** Used until nothing is left, and then once more. */
const wornOut = fc.array(someAct(fc.constant('consume'), moment('now', 'now', 'starts', 'any')), {
  minLength: 2,
  maxLength: 5,
})

export const someActs = fc
  .array(
    fc.oneof(
      { weight: 9, arbitrary: someAct(someVerb, sometime).map((act) => [act]) },
      { weight: 1, arbitrary: interlude },
      { weight: 1, arbitrary: wornOut },
    ),
    { minLength: 1, maxLength: 14, size: 'max' },
  )
  .map((acts) => acts.flat())

export const someEnd = moment('shortest', 'longest', 'any', 'any')

/** When `moment` is in this life, seen from `now`. */
export const resolve = (moment: Moment, life: lifecycle.Life, terms: lifecycle.Terms, now: number): number => {
  const marks = {
    now,
    starts: life.startsAt ?? now,
    due: life.dueAt ?? now,
    expires: life.expiresAt,
    ends: life.endsAt,
    reminder: life.expiresAt - (life.reminders[moment.any % 4] ?? 0) * 1000,
    shortest: now + terms.minLife,
    longest: life.latestAt ?? life.issuedAt + terms.maxLife,
    any: now + moment.any,
  }
  return marks[moment.mark] + moment.delta
}

/** A life that would begin now, only for `resolve` to measure from. */
export const unborn = (now: number): lifecycle.Life => ({
  status: 'active',
  version: 1,
  uses: 0,
  maxUses: null,
  issuedAt: now,
  startsAt: null,
  expiresAt: now,
  latestAt: null,
  endsAt: now,
  endedAt: null,
  suspendedAt: null,
  reminders: [],
  dueAt: null,
  nextStep: null,
})

export interface Chapter {
  readonly verb: Verb | 'issue'
  readonly now: number
  /** What `renew` and `issue` were asked for. */
  readonly until: number
  readonly onlyLater: boolean
  readonly before: lifecycle.Life
  readonly answer: lifecycle.Life | lifecycle.Refusal | lifecycle.Advance | undefined
  /** `before`, when nothing happened. */
  readonly after: lifecycle.Life
}

/** What the pure machine makes of it. */
export const apply = (
  { verb, until, now, onlyLater }: Pick<Chapter, 'verb' | 'until' | 'now' | 'onlyLater'>,
  life: lifecycle.Life,
  terms: lifecycle.Terms,
) => {
  if (verb === 'advance') return lifecycle.advance(life, terms, now)
  if (verb === 'renew') return lifecycle.renew(life, terms, until, now, onlyLater ? 0 : null)
  if (verb === 'consume') return lifecycle.consume(life, terms, now)
  if (verb === 'suspend') return lifecycle.suspend(life, now)
  if (verb === 'restore') return lifecycle.restore(life, now)
  if (verb === 'revoke') return lifecycle.revoke(life, terms, now)
  return lifecycle.expireNow(life, terms, now)
}

export const lifeIn = (answer: Chapter['answer']): lifecycle.Life | undefined => {
  if (answer === undefined || typeof answer === 'string') return undefined
  return 'life' in answer ? answer.life : answer
}

/** What some are issued with besides: a beginning, a longest life of their own; both in milliseconds. */
export const someOwn = fc.record({
  wait: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, fc.integer({ min: 0, max: 60_000 })),
  longest: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, fc.integer({ min: 20_000, max: 2_000_000 })),
})
export type Own = typeof someOwn extends fc.Arbitrary<infer T> ? T : never

export const ownIn = ({ wait, longest }: Own, now: number) => ({
  startsAt: wait === null ? null : now + wait,
  longest,
})

/** A whole life: issued, then one chapter an act, with instants that only go on. */
export const someStory = fc
  .record({ terms: someTerms, own: someOwn, end: someEnd, acts: someActs, start: fc.integer({ min: 1e12, max: 2e12 }) })
  .map(({ terms, own: { wait, longest }, end, acts, start }) => {
    const wanted = resolve(end, unborn(start), terms, start)
    // Nothing begins outside of its terms; that issue refuses it is a property of its own.
    const latest = start + Math.max(longest ?? terms.maxLife, terms.minLife)
    const until = Math.min(Math.max(wanted, start + terms.minLife), latest)
    const own = {
      wait: wait === null ? null : Math.min(wait, until - start - terms.minLife),
      longest: longest === null ? null : latest - start,
    }
    const born = lifecycle.issue(terms, until, start, ownIn(own, start)) as lifecycle.Life
    const chapters: Chapter[] = [
      { verb: 'issue', now: start, until, onlyLater: false, before: unborn(start), answer: born, after: born },
    ]
    let [life, now] = [born, start]
    let over = 0
    for (const act of acts) {
      // What has ended for long has nothing more to tell.
      if (lifecycle.hasEnded(life.status) && ++over > 2) break
      now = Math.max(now, resolve(act.when, life, terms, now))
      const until = resolve(act.until, life, terms, now)
      const asked = { verb: act.verb, now, until, onlyLater: act.onlyLater }
      const answer = apply(asked, life, terms)
      const after = lifeIn(answer) ?? life
      chapters.push({ ...asked, before: life, answer, after })
      life = after
    }
    return { terms, own, chapters }
  })
export type Story = typeof someStory extends fc.Arbitrary<infer T> ? T : never
