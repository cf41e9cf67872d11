import { expect, it } from 'vitest'
import { httpCall, LapseError } from '../src/index.ts'
import { testPeople } from './people.ts'
import { hour, tally } from './support.ts'

const { age, domain, elsewhere, httpCalls: here, sql } = await testPeople([httpCall])
const there = elsewhere().httpCalls

const schedule = async () => (await here.schedule({ url: 'https://example.com/', expiresInMs: hour })).httpCall.id
const outcomeOf = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'done',
    (error) => (error instanceof LapseError ? error.code : String(error)),
  )
/** What became of it. */
const rowOf = async (id: string) => {
  const [row] = await sql(
    `SELECT r.status, r.enclosed IS NOT NULL AS carried,
      (SELECT count(*)::int FROM delivery d WHERE d.resource_id = r.id) AS calls,
      (SELECT count(*)::int FROM event e WHERE e.resource_id = r.id AND e.type IN ('expired', 'revoked')) AS ends
    FROM resource r WHERE id = $1`,
    [id],
  )
  return row
}

it('cancelled while its time comes, forty at once: each is either never made or a conflict, and made once', async () => {
  const ids = await Promise.all(Array.from({ length: 40 }, schedule))
  await Promise.all(ids.map((id, i) => age(id, hour - (i % 8) * 10)))
  const sweeping = { stopped: false }
  const sweeps = [1, 2].map(async () => {
    while (!sweeping.stopped) await domain.advance({ trigger: 'sweep' })
  })
  const outcomes = await Promise.all(ids.map((id, i) => outcomeOf((i % 2 ? here : there).cancel(id))))
  await age(ids, hour)
  await domain.advance({ trigger: 'sweep' })
  sweeping.stopped = true
  await Promise.all(sweeps)
  for (const [i, id] of ids.entries())
    expect([outcomes[i], await rowOf(id)]).toEqual(
      outcomes[i] === 'done'
        ? ['done', { status: 'revoked', carried: false, calls: 0, ends: 1 }]
        : ['already_ended', { status: 'expired', carried: true, calls: 1, ends: 1 }],
    )
})

it('cancelled, made now and rescheduled, forty at once: it ends once, one way', async () => {
  const id = await schedule()
  const acts = Array.from({ length: 40 }, (_, i): [string, Promise<unknown>] => {
    const calls = i % 2 ? here : there
    if (i % 4 < 2) return ['cancel', calls.cancel(id)]
    return i % 4 === 2 ? ['make', calls.makeNow(id)] : ['reschedule', calls.reschedule(id, { expiresInMs: hour })]
  })
  const outcomes = await Promise.all(acts.map(async ([name, act]) => `${name} ${await outcomeOf(act)}`))
  const row = await rowOf(id)
  const counts = tally(outcomes)
  const [won, lost] = row?.status === 'revoked' ? ['cancel', 'make'] : ['make', 'cancel']
  expect(row).toEqual(
    won === 'cancel'
      ? { status: 'revoked', carried: false, calls: 0, ends: 1 }
      : { status: 'expired', carried: true, calls: 1, ends: 1 },
  )
  expect(counts).toMatchObject({
    [`${won} done`]: won === 'cancel' ? 20 : 10,
    [`${lost} already_ended`]: won === 'cancel' ? 10 : 20,
  })
})
