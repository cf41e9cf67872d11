import { makeStepDue } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { defineKind } from '../src/index.ts'
import { plain } from './kinds.ts'
import { day, hour, minute, testDomain } from './support.ts'

const smooth = defineKind({
  ...{ name: 'smooth', payload: plain.payload, lifetime: { default: '14d', max: '60d' } },
  ...{ reminders: ['1d'], spread: '1h' },
  contact: ({ payload }) => payload.email,
  mail: { reminded: () => ({ subject: 'soon', lines: [] }), expired: () => ({ subject: 'over', lines: [] }) },
  handlers: { reminded: () => {} },
})
const { domain, age, sql } = await testDomain([smooth])
const { resources } = domain
const payload = { email: 'a@example.com' }

/** What they owe when so much of their time has passed, with how long after the reminder's instant it goes out. */
const owedAfter = async (ids: readonly string[], passed: number) => {
  await age(ids, passed)
  const { rows } = await domain.advance({ trigger: 'sweep' })
  const waits = await sql<{ resource: string; channel: string; after: number; wait: number }>(
    `SELECT d.resource_id AS resource, d.channel, extract(epoch FROM d.next_attempt_at - (r.expires_at - interval '1 day'))::float8 * 1000 AS after,
      extract(epoch FROM d.next_attempt_at - d.created_at)::float8 * 1000 AS wait
    FROM delivery d JOIN resource r ON r.id = d.resource_id WHERE r.id = ANY ($1) ORDER BY r.id`,
    [ids],
  )
  return { waits, owed: rows.filter(({ id }) => ids.includes(id)).flatMap((row) => row.owed ?? []) }
}
const some = (count: number) =>
  resources
    .issueAll(Array.from({ length: count }, () => ({ kind: 'smooth', payload })))
    .then((issued) => issued.map(({ resource }) => resource.id))

describe('reminders that are spread', () => {
  it('go out within the span after their instant, each at its own time, and the queue is told when', async () => {
    const { waits, owed } = await owedAfter(await some(200), 13 * day)
    const mails = waits.filter(({ channel }) => channel === 'email')
    expect(mails).toHaveLength(200)
    for (const { after } of mails) {
      expect(after).toBeGreaterThanOrEqual(0)
      expect(after).toBeLessThan(hour)
    }
    const quarters = [0, 1, 2, 3].map((n) => mails.filter(({ after }) => Math.floor((4 * after) / hour) === n).length)
    expect(Math.min(...quarters)).toBeGreaterThan(20)
    const told = owed.filter(({ channel }) => channel === 'email').map(({ inMs = 0 }) => inMs)
    expect(told.sort()).toEqual(mails.map(({ wait }) => Math.round(wait)).sort())
    // A handler has to know at once.
    expect(new Set(owed.filter(({ channel }) => channel === 'handler').map(({ inMs }) => inMs))).toEqual(
      new Set([undefined]),
    )
  })

  it('have the same time whoever writes them down, and count from the instant that has passed', async () => {
    const ids = await some(50)
    const { waits } = await owedAfter(ids, 13 * day + 30 * minute)
    for (const { after, wait } of waits) {
      if (wait > 0) expect(after).toBeGreaterThan(30 * minute)
      expect(after).toBeLessThan(hour)
    }
    const mails = waits.filter(({ channel }) => channel === 'email')
    const late = mails.filter(({ wait }) => wait === 0).length
    expect(late).toBeGreaterThan(10)
    expect(late).toBeLessThan(40)
    await sql('DELETE FROM delivery WHERE resource_id = ANY ($1)', [ids])
    await sql(`UPDATE resource SET next_step = 'remind' WHERE id = ANY ($1)`, [ids])
    await makeStepDue(sql, ids)
    const again = (await owedAfter(ids, 0)).waits.filter(({ wait }) => wait > 0)
    const first = new Map(mails.map(({ resource, after }) => [resource, after]))
    for (const { resource, after } of again) expect(Math.abs(after - (first.get(resource) ?? 0))).toBeLessThan(2)
  })

  it('never come after the end, whatever the kind says by now', async () => {
    const ids = await some(100)
    await sql(`UPDATE resource SET reminders = '{60}' WHERE id = ANY ($1)`, [ids])
    const { waits } = await owedAfter(ids, 14 * day - minute)
    // Measured from a day before the end.
    for (const { after } of waits) expect(after).toBeLessThan(day)
  })

  it('are silenced by what overtakes them while they wait', async () => {
    const [id = ''] = await some(1)
    const { owed } = await owedAfter([id], 13 * day)
    const mail = owed.find(({ channel }) => channel === 'email')?.id ?? ''
    await resources.revoke('smooth', id)
    expect(await domain.deliveries.claim(mail, 30_000)).toMatchObject({ verdict: 'settled' })
  })

  it('are only reminders: word of the end goes out at once', async () => {
    const { owed } = await owedAfter(await some(5), 14 * day)
    expect(owed.map(({ channel, inMs }) => [channel, inMs])).toEqual(Array(5).fill(['email', undefined]))
  })

  it('cannot be spread past the end', () => {
    expect(() => defineKind({ ...definition, reminders: ['1d', '1h'], spread: '2h' })).toThrow(
      'kind "smooth": spread is longer than the last reminder is before the end',
    )
  })
})

const definition = { name: 'smooth', payload: plain.payload, lifetime: { max: '60d' } } as const
