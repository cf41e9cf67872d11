import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { defineKind, LapseError } from '../src/index.ts'
import { membership, plain } from './kinds.ts'
import { day, minute, tally, testDomain } from './support.ts'

const noted = defineKind({
  ...{ name: 'noted', payload: plain.payload, lifetime: { default: '10d', max: '60d' } },
  hooks: {
    expired: async (tx, happenings) => {
      const ids = happenings.map(({ resource }) => resource.id)
      await tx.$executeRaw`INSERT INTO note SELECT * FROM unnest(${ids}::uuid[])`
    },
  },
})
const kinds = [plain, membership, noted]
const { domain, age, another, history, holding, lockWaiters, sql } = await testDomain(kinds)
await sql('CREATE TABLE note (resource_id uuid); GRANT SELECT, INSERT ON note TO PUBLIC')
const { resources } = domain

const many = async (kind: string, n: number, payload = {}) => {
  const changes = await resources.issueAll(Array.from({ length: n }, () => ({ kind, payload })))
  return changes.map(({ resource }) => resource.id)
}
/** Lets these end so far from now. */
const endIn = (ids: readonly string[], ms: number, apart = 0) =>
  sql(
    `UPDATE resource SET expires_at = t, ends_at = t, due_at = t, next_step = 'expire'
    FROM (SELECT i, date_trunc('milliseconds', clock_timestamp()) + ($2::float8 + n * $3) * interval '1 millisecond' AS t
      FROM unnest($1::uuid[]) WITH ORDINALITY AS u(i, n)) AS s WHERE id = i`,
    [ids, ms, apart],
  )
const eventsOf = async (ids: readonly string[]) =>
  sql<{ id: string; types: string[] }>(
    'SELECT resource_id AS id, array_agg(type ORDER BY id) AS types FROM event WHERE resource_id = ANY ($1) GROUP BY 1',
    [ids],
  )
const sweepUntilEmpty = async (at: typeof domain) => {
  const done: string[] = []
  for (;;) {
    const { rows, more } = await at.advance({ trigger: 'sweep' }, { limit: 100 })
    done.push(...rows.map(({ id }) => id))
    if (!more) return done
  }
}
const conflict = (error: unknown) => {
  expect(error).toBeInstanceOf(LapseError)
  expect(error).toMatchObject({ code: 'already_ended', status: 409 })
}

describe('D3: however many look at the same rows at once', () => {
  it('2,000 that are due end once each: sweepers in three processes, the lazy check and jobs', async () => {
    const ids = await many('membership', 2_000, { email: 'a@example.com' })
    await age(ids, 20 * day)
    const processes = [domain, another(kinds), another(kinds)]
    const jobs = ids.filter((_, i) => i % 20 === 0).map((id) => domain.advance({ trigger: 'job' }, { ids: [id] }))
    const checks = ids.filter((_, i) => i % 20 === 10).map((id) => resources.check('membership', id))
    const sweeps = [...processes, ...processes].map(sweepUntilEmpty)
    const swept = (await Promise.all(sweeps)).flat()
    for (const check of await Promise.all(checks)) expect(check).toMatchObject({ allowed: false, reason: 'expired' })
    const woken = (await Promise.all(jobs)).flatMap(({ rows }) => rows.map(({ id }) => id))
    // Whoever had a row locked may have been passed by; the next sweep finds what is left.
    const rest = await sweepUntilEmpty(domain)
    const events = await eventsOf(ids)
    expect(tally(events.map(({ types }) => types.join(' ')))).toEqual({ 'issued expired': 2_000 })
    const claimed = [...swept, ...woken, ...rest]
    expect(new Set(claimed).size).toBe(claimed.length)
    const [owed] = await sql(
      `SELECT count(*)::int, count(DISTINCT resource_id)::int AS of FROM delivery WHERE event = 'expired'`,
    )
    expect(owed).toEqual({ count: 2_000, of: 2_000 })
  })

  it('the transactional hook of each has run in exactly one commit', async () => {
    const ids = await many('noted', 300)
    await age(ids, 20 * day)
    await Promise.all([domain, another(kinds), domain, another(kinds)].map(sweepUntilEmpty))
    await sweepUntilEmpty(domain)
    expect(tally((await eventsOf(ids)).map(({ types }) => types.join(' ')))).toEqual({ 'issued expired': 300 })
    const notes = await sql<{ resource_id: string }>('SELECT * FROM note')
    expect(notes.map((note) => note.resource_id).sort()).toEqual([...ids].sort())
  })
})

describe('B2: renewed around its end', () => {
  it('50 at a time: each is either renewed or expired with a 409, never both', async () => {
    const ids = await many('plain', 50)
    await endIn(ids, 200, 6)
    const sweepers = [domain, another([plain])].map(async (at) => {
      for (const end = Date.now() + 700; Date.now() < end; ) await at.advance({ trigger: 'sweep' })
    })
    const renewals = ids.map(async (id, i) => {
      await sleep(200 + i * 6 + ((i * 7) % 30) - 20)
      return resources.renew('plain', id, { expiresInMs: day }).then(
        () => true,
        (error) => void conflict(error),
      )
    })
    const outcomes = await Promise.all(renewals)
    await Promise.all(sweepers)
    await domain.advance({ trigger: 'sweep' })
    for (const [i, id] of ids.entries()) {
      expect(await history(id)).toEqual(['issued', outcomes[i] ? 'renewed' : 'expired'])
      expect((await resources.check('plain', id)).allowed).toBe(outcomes[i] === true)
    }
  })

  it('one by 50: every renewal counts or is refused, and it ends at most once', async () => {
    const [id = ''] = await many('plain', 1)
    await endIn([id], 150)
    const renewals = Array.from({ length: 50 }, async (_, i) => {
      await sleep(i * 6)
      // Each gives it hardly more: some meet it just after its end.
      return resources.renew('plain', id, { expiresInMs: 1_000 }).then(
        () => true,
        (error) => void conflict(error),
      )
    })
    const lapses = Array.from({ length: 20 }, (_, i) => sleep(i * 15).then(() => resources.check('plain', id)))
    const renewed = (await Promise.all(renewals)).filter(Boolean).length
    await Promise.all(lapses)
    const { version } = await resources.get(id)
    const counts = tally(await history(id))
    expect([version, counts.renewed ?? 0]).toEqual([1 + renewed, renewed])
    expect(counts.expired ?? 0).toBeLessThanOrEqual(1)
  })
})

describe('lock first, then the clock', () => {
  it('a verb that has waited on somebody’s lock across the end is refused', async () => {
    const acts: [string, (id: string) => Promise<unknown>][] = [
      ['renew', (id) => resources.renew('plain', id, { expiresInMs: day })],
      ['consume', (id) => resources.consume('plain', id)],
      ['revoke', (id) => resources.revoke('plain', id)],
      ['expire', (id) => resources.expire('plain', id)],
    ]
    const ids = await many('plain', acts.length)
    // Time enough for all of them to wait, and less than a lock is waited for.
    await endIn(ids, 1_300)
    const answers = await Promise.all(
      acts.map(async ([verb, act], i) => {
        const id = ids[i] ?? ''
        const answer: Promise<unknown>[] = []
        await holding(id, async (holder) => {
          answer.push(act(id).catch((error) => error))
          await lockWaiters(acts.length)
          await holder.query(
            'SELECT pg_sleep(extract(epoch FROM max(ends_at) - clock_timestamp()) + 0.005) FROM resource WHERE id = ANY ($1)',
            [ids],
          )
        })
        return [verb, (await Promise.all(answer))[0]] as const
      }),
    )
    expect(Object.fromEntries(answers)).toMatchObject({
      renew: { code: 'already_ended' },
      consume: { consumed: false, reason: 'expired' },
      revoke: { resource: { status: 'expired' } },
      expire: { resource: { status: 'expired' } },
    })
    for (const { types } of await eventsOf(ids)) expect(types).toEqual(['issued', 'expired'])
  })

  it('a verb that has waited for a renewal across the end before that goes by the new one', async () => {
    const acts: [string, (id: string) => Promise<object>][] = [
      ['renew', (id) => resources.renew('plain', id, { expiresInMs: day })],
      ['consume', (id) => resources.consume('plain', id)],
      ['consume', (id) => resources.consume('plain', id, { holder: 'ada' })],
      ['revoke', (id) => resources.revoke('plain', id)],
      ['expire', (id) => resources.expire('plain', id)],
    ]
    const ids = await many('plain', acts.length)
    // It comes while they wait.
    await endIn(ids, 800)
    const answers = await Promise.all(
      acts.map(async ([, act], i) => {
        const id = ids[i] ?? ''
        const answer: Promise<object>[] = []
        await holding(id, async (holder) => {
          await holder.query(`UPDATE resource SET version = version + 1, expires_at = expires_at + interval '1 day',
            ends_at = ends_at + interval '1 day', due_at = expires_at + interval '1 day' WHERE id = '${id}'`)
          answer.push(act(id).catch((error) => error))
          await lockWaiters(acts.length)
          // Until its old end is over.
          await holder.query(
            `SELECT pg_sleep(greatest(0, extract(epoch FROM max(ends_at) - interval '1 day' - clock_timestamp())) + 0.005) FROM resource WHERE id = ANY ($1)`,
            [ids],
          )
        })
        return (await Promise.all(answer))[0]
      }),
    )
    expect(answers).toMatchObject([
      { moved: true, resource: { status: 'active', version: 3 } },
      { consumed: true },
      { consumed: true },
      { moved: true, resource: { status: 'revoked' } },
      { moved: true, resource: { status: 'expired' } },
    ])
  })

  it('a sweeper leaves to others what they are changing', async () => {
    const [renewed = '', held = ''] = await many('plain', 2)
    await age([renewed, held], 14 * day - minute)
    await endIn([renewed, held], 0)
    // Of these two alone: lives of the tests before may end just now.
    const sweep = async () => {
      const { rows } = await domain.advance({ trigger: 'sweep' })
      return rows.filter(({ id }) => id === renewed || id === held)
    }
    await holding(held, async () => {
      await holding(renewed, async (holder) => {
        await holder.query(`UPDATE resource SET version = version + 1, expires_at = expires_at + interval '1 day',
          ends_at = ends_at + interval '1 day', due_at = due_at + interval '1 day' WHERE id = '${renewed}'`)
        expect(await sweep()).toEqual([])
      })
      expect(await sweep()).toEqual([])
    })
    expect(await sweep()).toMatchObject([{ id: held, type: 'expired' }])
  })
})
