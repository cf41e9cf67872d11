import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineKind, TryAgain } from '../src/index.ts'
import { Registry } from '../src/registry.ts'

const valid = { name: 'pass', payload: z.strictObject({}), lifetime: { max: '60d' } } as const
const run = () => {}

describe('a handler', () => {
  it('is a function, or one with how it is tried', () => {
    const { handlers } = defineKind({
      ...valid,
      handlers: { issued: run, expired: { run, attempts: 3, backoff: { first: '1m', most: '1h' }, timeout: '15m' } },
    })
    expect(handlers).toEqual({
      issued: { run, policy: {}, timeoutMs: 60_000 },
      expired: { run, policy: { attempts: 3, baseMs: 60_000, capMs: 3_600_000 }, timeoutMs: 900_000 },
    })
  })

  it('has a lease that outlasts its attempt', () => {
    const { leases } = new Registry([
      defineKind({ ...valid, handlers: { issued: run, expired: { run, timeout: '10m' } } }),
    ])
    expect(leases['pass.issued']).toBeGreaterThan(60_000)
    expect(leases['pass.expired']).toBeGreaterThan(600_000)
  })

  it.each<[string, object, string]>([
    ['an unknown event', { ended: run }, 'handlers.ended is no event'],
    ['what is no function', { expired: 'run' }, 'handlers.expired is neither a function'],
    ['nothing', { expired: null }, 'handlers.expired is neither a function'],
    ['no function to run', { expired: { attempts: 3 } }, 'handlers.expired is neither a function'],
    ['an unknown option', { expired: { run, retries: 3 } }, 'handlers.expired.retries is no option. There are: run,'],
    ['no attempts', { expired: { run, attempts: 0 } }, 'handlers.expired.attempts must be a whole number'],
    ['half an attempt', { expired: { run, attempts: 1.5 } }, 'handlers.expired.attempts must be'],
    ['too many attempts', { expired: { run, attempts: 101 } }, 'handlers.expired.attempts must be'],
    ['half a backoff', { expired: { run, backoff: { first: '1s' } } }, 'handlers.expired.backoff needs both'],
    ['no backoff', { expired: { run, backoff: null } }, 'handlers.expired.backoff needs both'],
    ['no first wait', { expired: { run, backoff: { first: 0, most: 1 } } }, 'handlers.expired.backoff.first must be'],
    ['a last wait below it', { expired: { run, backoff: { first: 2, most: 1 } } }, 'backoff.most is below'],
    [
      'a wait of months',
      { expired: { run, backoff: { first: 1, most: '31d' } } },
      'backoff.most must be at most 30 days',
    ],
    ['what is no duration', { expired: { run, timeout: 'soon' } }, 'handlers.expired.timeout is not a duration'],
    ['no time', { expired: { run, timeout: 0 } }, 'handlers.expired.timeout must be'],
    ['too much time', { expired: { run, timeout: '16m' } }, 'handlers.expired.timeout must be'],
  ])('with %s is refused, naming the option', (_, handlers, message) => {
    const define = () => defineKind({ ...valid, handlers } as typeof valid)
    expect(define).toThrow(TypeError)
    expect(define).toThrow(message)
  })

  it('that asks to be tried again says when, as everything says durations', () => {
    expect([new TryAgain('busy', '5m').inMs, new TryAgain('busy', 20).inMs]).toEqual([300_000, 20])
    expect(() => new TryAgain('busy', Number.NaN)).toThrow(TypeError)
  })
})
