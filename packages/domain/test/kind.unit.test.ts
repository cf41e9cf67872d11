import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { backoff, defineKind, type Resource, trial, trialBanner } from '../src/index.ts'
import { Registry } from '../src/registry.ts'

const valid = { name: 'pass', payload: z.strictObject({}), lifetime: { max: '60d' } } as const

describe('defineKind', () => {
  it('fills in what is not said', () => {
    const { terms, defaultLife } = defineKind(valid)
    const day = 24 * 60 * 60 * 1000
    expect(terms).toEqual({
      ...{ minLife: 1_000, maxLife: 60 * day, grace: 0, reminders: [259_200, 86_400], retention: 30 * day },
      ...{ maxUses: 1, staysUsedUp: false },
    })
    expect(defaultLife).toBeUndefined()
  })

  it('sorts reminders, the earliest first, and takes each once', () => {
    expect(defineKind({ ...valid, reminders: ['1h', '1d', 3_600_000, '1m'] }).terms.reminders).toEqual([
      86_400, 3_600, 60,
    ])
  })

  it.each<[string, object, string]>([
    ['a name with a capital', { name: 'Pass' }, 'name must be lower case'],
    ['no name', { name: '' }, 'name must be lower case'],
    ['a name with a colon', { name: 'a:b' }, 'name must be lower case'],
    ['a name too long', { name: 'x'.repeat(33) }, 'at most 32'],
    ['no uses', { uses: 0 }, 'uses must be 1 or more'],
    ['half a use', { uses: 1.5 }, 'uses must be 1 or more'],
    ['what is no duration', { grace: 'soon' }, "grace is not a duration, as '14d'"],
    ['an empty duration', { grace: '' }, 'grace'],
    ['a negative duration', { retention: '-1d' }, 'retention is not a duration'],
    ['no maximum', { lifetime: { max: Number.POSITIVE_INFINITY } }, 'lifetime.max is not a duration'],
    ['a maximum no calendar holds', { lifetime: { max: '5000y' } }, 'lifetime.max is not a duration'],
    ['a minimum of nothing', { lifetime: { min: 0, max: '1d' } }, 'lifetime.min must be at least'],
    ['a maximum below the minimum', { lifetime: { min: '2d', max: '1d' } }, 'lifetime.max is below lifetime.min'],
    ['a default above the maximum', { lifetime: { default: '2d', max: '1d' } }, 'lifetime.default is outside'],
    ['a default below the minimum', { lifetime: { default: 1, max: '1d' } }, 'lifetime.default is outside'],
    ['a reminder at the end', { reminders: [0] }, 'reminders must be whole seconds'],
    ['a reminder of half a second', { reminders: ['1500ms'] }, 'reminders must be whole seconds'],
    ['a reminder out of reach', { reminders: ['70y'] }, 'reminders must be whole seconds'],
  ])('refuses %s, and says which kind and which option', (_, fault, message) => {
    const define = () => defineKind({ ...valid, ...fault } as typeof valid)
    expect(define).toThrow(TypeError)
    expect(define).toThrow(`kind ${JSON.stringify((fault as { name?: string }).name ?? 'pass')}: `)
    expect(define).toThrow(message)
  })

  it('cannot be given twice', () => {
    expect(() => new Registry([trial, defineKind(valid), defineKind(valid)])).toThrow('kind "pass" is defined twice')
  })
})

describe('backoff', () => {
  const policy = fc.record({
    baseMs: fc.integer({ min: 1, max: 60_000 }),
    capMs: fc.integer({ min: 1, max: 3_600_000 }),
    attempts: fc.integer({ min: 1, max: 100 }),
  })

  it('waits between half and all of the doubled base, never longer than the cap, and gives up in the end', () => {
    fc.assert(
      fc.property(
        policy,
        fc.integer({ min: 1, max: 120 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (p, n, random) => {
          const wait = backoff(p, n, random)
          expect(wait === undefined).toBe(n >= p.attempts)
          if (wait === undefined) return
          const full = Math.min(p.capMs, p.baseMs * 2 ** (n - 1))
          expect(Number.isInteger(wait)).toBe(true)
          expect(wait).toBeGreaterThanOrEqual(full / 2)
          expect(wait).toBeLessThanOrEqual(full)
        },
      ),
    )
  })

  it('never waits less after a later failure, chance aside', () => {
    fc.assert(
      fc.property(policy, fc.integer({ min: 1, max: 98 }), (p, n) => {
        const [now, next] = [backoff(p, n, 0.5), backoff(p, n + 1, 0.5)]
        if (now !== undefined && next !== undefined) expect(next).toBeGreaterThanOrEqual(now)
      }),
    )
  })
})

describe('the banner of a trial', () => {
  const day = 24 * 60 * 60 * 1000
  const seenAt = new Date(1.8e12)
  const banner = (status: Resource['status'], left: number) =>
    trialBanner({ status, seenAt, endsAt: new Date(seenAt.getTime() + left) } as Resource)

  it.each<[Resource['status'], number, string, number]>([
    ['active', 14 * day, 'running', 1_209_600],
    ['active', 3 * day, 'ending', 259_200],
    ['active', 1_999, 'ending', 1],
    ['grace', day / 2, 'grace', 43_200],
    ['suspended', day, 'suspended', 86_400],
    ['expired', -day, 'ended', 0],
    ['revoked', day, 'ended', 0],
    ['consumed', day, 'converted', 0],
  ])('%s with %i ms left is %s', (status, left, phase, remainingSeconds) => {
    expect(banner(status, left)).toMatchObject({ phase, remainingSeconds })
  })
})
