import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { DeadlineError } from '../src/deadline.ts'
import { HookBudget } from '../src/hook-budget.ts'
import { HookError } from '../src/hooks.ts'
import { coupon, plain } from './kinds.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

const failed = (cause: Error) => new HookError('plain', 'revoked', [], cause)

it('hooks of one transaction have ten seconds each, and no more together than it allows', () => {
  const budget = new HookBudget(15_000)
  expect(budget.leftMs(plain)).toBe(10_000)
  vi.advanceTimersByTime(9_000)
  expect(budget.leftMs(plain)).toBe(6_000)
  vi.advanceTimersByTime(6_001)
  expect(budget.leftMs(plain)).toBe(0)
})

it('hooks of a kind that have exceeded their deadline have no more time, those that threw do, and so do others', () => {
  const budget = new HookBudget(15_000)
  budget.failed(plain, failed(new Error('out of order')))
  expect(budget.leftMs(plain)).toBe(10_000)
  budget.failed(plain, failed(new DeadlineError('it did not finish')))
  expect([budget.leftMs(plain), budget.leftMs(coupon)]).toEqual([0, 10_000])
})
