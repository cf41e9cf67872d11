import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as lifecycle from '../src/lifecycle.ts'
import {
  apply,
  type Chapter,
  lifeIn,
  ownIn,
  resolve,
  someEnd,
  someOwn,
  someStory,
  someTerms,
  unborn,
  verbs,
} from './lives.ts'

const { advance, hasEnded, isLive, isOver, issue, restore, seenStatus, suspend, timersOf } = lifecycle

/** Holds `property` against every chapter of many random lives. */
const always = (property: (chapter: Chapter, terms: lifecycle.Terms) => void, numRuns = 2_000) =>
  fc.assert(
    fc.property(someStory, ({ terms, chapters }) => {
      for (const chapter of chapters) property(chapter, terms)
    }),
    { numRuns },
  )

const changed = ({ before, after, verb }: Chapter) => verb !== 'issue' && after !== before
const advanced = ({ verb, answer }: Chapter) =>
  verb === 'advance' ? (answer as lifecycle.Advance | undefined) : undefined
const remindersOf = (life: lifecycle.Life) => life.reminders.map((seconds) => life.expiresAt - seconds * 1000)

describe('never early', () => {
  it('advance ends, begins grace and reminds at its instant or after, and says how late', () => {
    always((chapter) => {
      const done = advanced(chapter)
      if (!done) return
      const { before, now } = chapter
      const reminder = before.expiresAt - (done.offset ?? Number.NaN) * 1000
      const instants = { expired: before.endsAt, grace: before.expiresAt, reminded: reminder }
      expect(now).toBeGreaterThanOrEqual(instants[done.event])
      expect(done.latenessMs).toBe(now - instants[done.event])
    })
  })

  it('at exactly endsAt it is over, a millisecond before it is not', () => {
    always(({ after, now }, terms) => {
      if (hasEnded(after.status)) return
      for (const at of [after.endsAt, after.endsAt + 1]) {
        expect([isLive(after, at), seenStatus(after, at)]).toEqual([false, 'expired'])
        expect(advance(after, terms, at)).toMatchObject({ event: 'expired', life: { endedAt: after.endsAt } })
      }
      const before = after.endsAt - 1
      if (before < now) return
      expect(isLive(after, before)).toBe(after.suspendedAt === null && before >= (after.startsAt ?? before))
      expect(seenStatus(after, before)).not.toBe('expired')
      expect(advance(after, terms, before)?.event).not.toBe('expired')
    })
  })

  it('at exactly expiresAt grace begins, where there is one', () => {
    always(({ after, now }) => {
      if (hasEnded(after.status)) return
      const unless = (status: lifecycle.Status) => (after.suspendedAt === null ? status : 'suspended')
      expect(seenStatus(after, after.expiresAt)).toBe(after.endsAt > after.expiresAt ? unless('grace') : 'expired')
      if (after.expiresAt - 1 >= Math.max(now, after.startsAt ?? now))
        expect(seenStatus(after, after.expiresAt - 1)).toBe(unless('active'))
    })
  })
})

describe('ended is final', () => {
  it('every verb refuses from the end on, and nothing changes any more', () => {
    always(({ before, now, until }, terms) => {
      if (!isOver(before, now)) return
      for (const verb of verbs.filter((verb) => verb !== 'advance'))
        expect(apply({ verb, until, now, onlyLater: false }, before, terms)).toBe('ended')
      if (hasEnded(before.status)) expect(advance(before, terms, now)).toBeUndefined()
    })
  })

  it('has at most one terminal event, and none is left out', () => {
    fc.assert(
      fc.property(someStory, ({ chapters }) => {
        const ends = chapters.filter(({ before, after }) => !hasEnded(before.status) && hasEnded(after.status))
        const last = chapters.at(-1)?.after
        expect(ends.length).toBe(last && hasEnded(last.status) ? 1 : 0)
      }),
    )
  })

  it('a status and its instants tell the same story', () => {
    always(({ after }, { staysUsedUp }) => {
      expect(after.endedAt === null).toBe(!hasEnded(after.status))
      expect(after.issuedAt).toBeLessThanOrEqual(after.expiresAt)
      expect(after.expiresAt).toBeLessThanOrEqual(after.endsAt)
      if (after.maxUses !== null) expect(after.uses).toBeLessThanOrEqual(after.maxUses)
      if (after.maxUses !== null) expect(!staysUsedUp && after.uses === after.maxUses).toBe(after.status === 'consumed')
    })
  })
})

describe('a suspension', () => {
  it('blocks it: nobody uses or renews it until it is restored; it can still be ended', () => {
    always(({ before, now, until }, terms) => {
      if (before.suspendedAt === null || isOver(before, now)) return
      expect([isLive(before, now), seenStatus(before, now)]).toEqual([false, 'suspended'])
      const tried = verbs.map((verb) => [verb, apply({ verb, until, now, onlyLater: false }, before, terms)])
      const { revoke, expire, restore, advance: _, ...blocked } = Object.fromEntries(tried)
      expect(blocked).toEqual({ renew: 'suspended', consume: 'suspended', suspend: 'suspended' })
      expect([revoke.status, expire.status]).toEqual(['revoked', 'expired'])
      expect(isLive(restore, now)).toBe(now >= (before.startsAt ?? now))
    })
  })

  it('takes nothing away and gives nothing: time goes on, and restored it is what it would be', () => {
    always(({ after, now, until }, terms) => {
      if (!isLive(after, now)) return
      expect(restore(after, now)).toBe('not-suspended')
      const suspended = suspend(after, now) as lifecycle.Life
      expect(suspended).toEqual({ ...after, suspendedAt: now })
      const later = Math.max(now, until)
      const blocked = advance(suspended, terms, later)
      const free = advance(after, terms, later)
      expect(blocked).toEqual(free && { ...free, life: { ...free.life, suspendedAt: now } })
      const caughtUp = blocked?.life ?? suspended
      expect(restore(caughtUp, later)).toEqual(isOver(after, later) ? 'ended' : (free?.life ?? after))
    })
  })
})

describe('a beginning', () => {
  it('nobody uses it a millisecond before; at that instant it is live; it can be renewed and ended at any time', () => {
    always(({ after, now, until }, terms) => {
      const { startsAt } = after
      if (startsAt === null || now >= startsAt || isOver(after, now) || after.suspendedAt !== null) return
      for (const at of [now, startsAt - 1]) {
        expect([isLive(after, at), seenStatus(after, at)]).toEqual([false, 'scheduled'])
        expect(lifecycle.consume(after, terms, at)).toBe('not-started')
      }
      expect([isLive(after, startsAt), seenStatus(after, startsAt)]).toEqual([true, 'active'])
      expect(lifecycle.revoke(after, terms, now)).toMatchObject({ status: 'revoked' })
      expect(lifecycle.renew(after, terms, until, now)).not.toBe('not-started')
    })
  })
})

describe('due_at is always the next step', () => {
  it('the next reminder ahead or else the end; the end of grace; the purge', () => {
    always((chapter, terms) => {
      const { after, now } = chapter
      if (['consume', 'suspend', 'restore'].includes(chapter.verb) && after.status === chapter.before.status) return
      if (chapter.verb !== 'issue' && !changed(chapter)) return
      const [next] = remindersOf(after)
        .filter((at) => at > now)
        .sort((a, b) => a - b)
      const { dueAt, nextStep } = after
      if (hasEnded(after.status))
        expect({ dueAt, nextStep }).toEqual({ dueAt: now + terms.retention, nextStep: 'purge' })
      else if (after.status === 'grace')
        expect({ dueAt, nextStep }).toEqual({ dueAt: after.endsAt, nextStep: 'end-grace' })
      else if (next !== undefined) expect({ dueAt, nextStep }).toEqual({ dueAt: next, nextStep: 'remind' })
      else expect({ dueAt, nextStep }).toEqual({ dueAt: after.expiresAt, nextStep: 'expire' })
    })
  })

  it('one advance catches up with the clock: nothing is due after it', () => {
    always(({ after, now }, terms) => {
      const done = advance(after, terms, now)
      const life = done?.life ?? after
      expect(advance(life, terms, now)).toBeUndefined()
      expect(seenStatus({ ...after, suspendedAt: null, startsAt: null }, now)).toBe(life.status)
      if (done && !hasEnded(life.status)) expect(life.dueAt).toBeGreaterThan(now)
    })
  })
})

describe('reminders', () => {
  it('after an outage at most one, the latest that was missed, and none from the end on', () => {
    always((chapter) => {
      const done = advanced(chapter)
      if (done?.event !== 'reminded') return
      const { before, now } = chapter
      expect(now).toBeLessThan(before.expiresAt)
      const missed = remindersOf(before).filter((at) => at <= now)
      expect(before.expiresAt - (done.offset ?? 0) * 1000).toBe(Math.max(...missed))
    })
  })

  it('each at most once a version, and none that was past when it was issued or renewed', () => {
    fc.assert(
      fc.property(someStory, ({ chapters }) => {
        const sent = new Set<string>()
        let scheduledAt = 0
        for (const chapter of chapters) {
          if (chapter.verb === 'issue' || (chapter.verb === 'renew' && changed(chapter))) scheduledAt = chapter.now
          const done = advanced(chapter)
          if (done?.event !== 'reminded') continue
          const key = `${chapter.before.version} ${done.offset}`
          expect(sent).not.toContain(key)
          sent.add(key)
          expect(chapter.before.expiresAt - (done.offset ?? 0) * 1000).toBeGreaterThan(scheduledAt)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('lifetimes', () => {
  it('issue takes what lies within the terms, to the millisecond, and refuses the rest', () => {
    fc.assert(
      fc.property(someTerms, someOwn, someEnd, (terms, own, end) => {
        const now = 1e12
        const until = resolve(end, unborn(now), terms, now)
        const answer = issue(terms, until, now, ownIn(own, now))
        if (until - now - (own.wait ?? 0) < terms.minLife) expect(answer).toBe('too-short')
        else if (until - now > (own.longest ?? terms.maxLife)) expect(answer).toBe('too-long')
        else expect(answer).toMatchObject({ status: 'active', expiresAt: until, endsAt: until + terms.grace })
      }),
      { numRuns: 2_000 },
    )
  })

  it('renew gives the end that was asked for with the same grace, never past the maximum life', () => {
    always((chapter, terms) => {
      if (chapter.verb !== 'renew') return
      const { before, after, now, until, onlyLater, answer } = chapter
      if (isOver(before, now)) expect(answer).toBe('ended')
      else if (before.suspendedAt !== null) expect(answer).toBe('suspended')
      else if (until - Math.max(now, before.startsAt ?? now) < terms.minLife) expect(answer).toBe('too-short')
      else if (until > (before.latestAt ?? before.issuedAt + terms.maxLife)) expect(answer).toBe('too-long')
      else if (onlyLater && until <= before.expiresAt) expect(answer).toBe('not-later')
      else {
        expect(after).toMatchObject({ status: 'active', expiresAt: until, version: before.version + 1 })
        expect(after.endsAt - after.expiresAt).toBe(before.endsAt - before.expiresAt)
      }
    })
  })
})

describe('timers', () => {
  const resource = (life: lifecycle.Life) => ({ id: 'id', kind: 'kind', ...life })

  it('are strictly ahead and complete: the first is the next step, the last the end', () => {
    always((chapter, terms) => {
      const { now } = chapter
      const life = advance(chapter.after, terms, now)?.life ?? chapter.after
      const timers = timersOf(resource(life), now)
      if (hasEnded(life.status)) return expect(timers).toEqual([])
      for (const timer of timers) expect(timer.dueAt).toBeGreaterThan(now)
      const instants = life.status === 'grace' ? [life.endsAt] : [...remindersOf(life), life.expiresAt]
      expect(timers.map((timer) => timer.dueAt).sort()).toEqual(instants.filter((at) => at > now).sort())
      const first = timers.reduce((a, b) => (b.dueAt < a.dueAt ? b : a))
      expect(first).toMatchObject({ dueAt: life.dueAt, step: life.nextStep, version: life.version })
    })
  })

  it('are enough: woken by them alone, a life gets every reminder and ends at exactly its end', () => {
    fc.assert(
      fc.property(someStory, ({ terms, chapters }) => {
        const [born] = chapters
        if (!born) return
        let [life, now] = [born.after, born.now]
        const ahead = remindersOf(life).filter((at) => at > now)
        const events: string[] = []
        while (!hasEnded(life.status)) {
          now = Math.min(...timersOf(resource(life), now).map((timer) => timer.dueAt))
          const done = advance(life, terms, now)
          expect(done?.latenessMs).toBe(0)
          events.push(done?.event ?? 'none')
          life = lifeIn(done) ?? life
        }
        const graced = life.endsAt > life.expiresAt ? ['grace'] : []
        expect(events).toEqual([...ahead.map(() => 'reminded'), ...graced, 'expired'])
        expect(life.endedAt).toBe(born.after.endsAt)
      }),
    )
  })
})
