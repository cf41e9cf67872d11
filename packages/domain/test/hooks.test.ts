import { describe, expect, it } from 'vitest'
import { type Change, defineKind, type EventType, type Hook } from '../src/index.ts'
import { plain } from './kinds.ts'
import { day, hour, minute, second, testDomain } from './support.ts'

/** Writes what it is told into a table of its own, in the same transaction, and then refuses subjects called `bad`. */
const note: Hook = async (tx, happenings) => {
  for (const { type, resource, at } of happenings)
    await tx.$executeRaw`INSERT INTO note (resource_id, type, at) VALUES (${resource.id}::uuid, ${type},
      to_timestamp(${at.getTime()}::float8 / 1000))`
  if (happenings.some(({ resource }) => resource.subject === 'bad')) throw new Error('out of order')
}

const types = ['issued', 'used', 'consumed', 'renewed', 'revoked', 'reminded', 'grace', 'expired'] as const
const hooked = defineKind({
  ...{ name: 'hooked', payload: plain.payload, lifetime: { default: '10d', max: '60d' } },
  ...{ uses: 2, reminders: ['1d'], grace: '1d' },
  hooks: Object.fromEntries(types.map((type) => [type, note])) as Record<EventType, Hook>,
})
/** The same, with hooks only where time does it. */
const clockwork = defineKind({
  ...{ name: 'clockwork', payload: plain.payload, lifetime: { default: '10d', max: '60d' }, grace: '1d' },
  ...{ reminders: ['1d', '1m'], hooks: { reminded: note, grace: note, expired: note } },
})

/** Looks away when its statement fails: PostgreSQL has given the transaction up all the same. */
const careless = defineKind({
  ...{ name: 'careless', payload: plain.payload, lifetime: { default: '10d', max: '60d' } },
  hooks: {
    consumed: async (tx) => void (await tx.$executeRaw`SELECT 1 / 0`.catch(() => {})),
    expired: async (tx) => void (await tx.$executeRaw`SELECT 1 / 0`.catch(() => {})),
  },
})

const { domain, age, history, sql } = await testDomain([plain, hooked, clockwork, careless])
const { resources } = domain
await sql(`CREATE TABLE note (resource_id uuid, type text, at timestamptz(3));
  GRANT SELECT, INSERT ON note TO PUBLIC`)

const notes = async (id: string) =>
  (await sql<{ type: string }>('SELECT type FROM note WHERE resource_id = $1 ORDER BY at', [id])).map(
    ({ type }) => type,
  )
const issue = async (kind: string, subject = 'good') => (await resources.issue({ kind, subject })).resource
const sweep = () => domain.advance({ trigger: 'sweep' })

describe('a hook', () => {
  it('commits with its transition, once for each', async () => {
    const { id } = await issue('hooked')
    await resources.renew('hooked', id, { expiresInMs: 20 * hour })
    await resources.consume('hooked', id)
    await resources.consume('hooked', id)
    expect(await notes(id)).toEqual(['issued', 'renewed', 'used', 'consumed'])
    const other = await issue('hooked')
    for (const shift of [9 * day, day, day]) {
      await age(other.id, shift)
      await sweep()
    }
    expect(await notes(other.id)).toEqual(['issued', 'reminded', 'grace', 'expired'])
    expect(await history(other.id)).toEqual(['issued', 'reminded', 'grace', 'expired'])
  })

  it('that throws at issue leaves no row and no event', async () => {
    const before = await sql(
      'SELECT (SELECT count(*) FROM resource) AS r, (SELECT count(*) FROM event) AS e, (SELECT count(*) FROM note) AS n',
    )
    await expect(issue('hooked', 'bad')).rejects.toThrow('the issued hook of hooked threw: out of order')
    const all = ['good', 'bad'].map((subject) => ({ kind: 'hooked', subject }))
    await expect(resources.issueAll(all)).rejects.toThrow('out of order')
    expect(
      await sql(
        'SELECT (SELECT count(*) FROM resource) AS r, (SELECT count(*) FROM event) AS e, (SELECT count(*) FROM note) AS n',
      ),
    ).toEqual(before)
  })

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['renew', (id) => resources.renew('hooked', id, { expiresInMs: day })],
    ['consume', (id) => resources.consume('hooked', id)],
    ['revoke', (id) => resources.revoke('hooked', id)],
    ['expire', (id) => resources.expire('hooked', id)],
  ])('that throws undoes its %s', async (_, act) => {
    const { id } = await issue('hooked')
    await sql(`UPDATE resource SET subject = 'bad' WHERE id = $1`, [id])
    const before = await sql('SELECT * FROM resource WHERE id = $1', [id])
    await expect(act(id)).rejects.toThrow('out of order')
    expect(await sql('SELECT * FROM resource WHERE id = $1', [id])).toEqual(before)
    expect([await history(id), await notes(id)]).toEqual([['issued'], ['issued']])
  })

  it('shares the transaction of whoever issues within one', async () => {
    const issued: Change[] = []
    const failing = domain.once({ owner: 'me', key: 'undone', fingerprint: 'f' }, async (tx) => {
      issued.push(await resources.within(tx).issue({ kind: 'hooked' }))
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect(await notes(issued[0]?.resource.id ?? '')).toEqual([])
  })
})

describe('a hook that looks away from an error of its statement', () => {
  it('does not make anybody believe in a transition that was undone', async () => {
    const { id } = await issue('careless')
    await expect(resources.consume('careless', id)).rejects.toThrow('the consumed hook of careless threw')
    expect((await resources.get(id)).status).toBe('active')
    await age(id, 20 * day)
    expect(await sweep()).toMatchObject({ rows: [], refused: [{ id }] })
    expect(await history(id)).toEqual(['issued', 'hook-failed'])
    // It would be tried again in a second, among what the next tests look at.
    await sql('DELETE FROM resource WHERE id = $1', [id])
  })
})

describe('a hook that refuses one row of a batch', () => {
  it('holds up neither the others nor other kinds; the row is put off, denied, and tried again until it works', async () => {
    const drafts = Array.from({ length: 20 }, (_, i) => ({ kind: 'clockwork', subject: i === 7 ? 'bad' : 'good' }))
    const all = await resources.issueAll([...drafts, { kind: 'plain' }])
    const ids = all.map(({ resource }) => resource.id)
    for (const id of ids) await age(id, 20 * day)
    const bad = ids[7] ?? ''
    const { rows, refused, more } = await sweep()
    expect(rows.map(({ id }) => id).sort()).toEqual(ids.filter((id) => id !== bad).sort())
    expect(refused).toMatchObject([{ id: bad, error: { message: expect.stringContaining('out of order') } }])
    expect(more).toBe(true)
    expect([await history(bad), await notes(bad)]).toEqual([['issued', 'hook-failed'], []])
    expect(await resources.check('clockwork', bad)).toMatchObject({ allowed: false, reason: 'expired' })
    expect(await sweep()).toMatchObject({ rows: [], refused: [] })

    const [failure] = await domain.events({ resourceId: bad, type: 'hook-failed' })
    expect(failure).toMatchObject({
      trigger: 'sweep',
      reason: expect.stringContaining('out of order'),
      data: { failures: 1 },
    })
    await age(bad, minute)
    expect(await sweep()).toMatchObject({ rows: [], refused: [{ id: bad }] })
    await sql(`UPDATE resource SET subject = 'good', due_at = due_at - interval '1 hour' WHERE id = $1`, [bad])
    expect(await sweep()).toMatchObject({ rows: [{ id: bad, type: 'expired' }], refused: [] })
    expect(await history(bad)).toEqual(['issued', 'hook-failed', 'hook-failed', 'expired'])
    expect(await notes(bad)).toEqual(['expired'])
  })

  it('is tried again later each time, up to an hour', async () => {
    const { id } = await issue('clockwork', 'bad')
    await age(id, 20 * day)
    for (let n = 0; n < 14; n++) {
      await sweep()
      await age(id, hour)
    }
    const failures = await domain.events({ resourceId: id, type: 'hook-failed' })
    const waits = failures.map(({ at, data }) =>
      Math.round((Date.parse((data as { next_try: string }).next_try) - at.getTime()) / second),
    )
    expect(waits.reverse()).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600])
    expect(await resources.check('clockwork', id)).toMatchObject({ allowed: false })
  })

  it('is not put off beyond the step that comes after: a refused reminder does not delay the end', async () => {
    const { id, expiresAt } = await issue('clockwork', 'bad')
    await sql('UPDATE resource SET failures = 12 WHERE id = $1', [id])
    const shift = 10 * day - 30 * second
    await age(id, shift)
    expect((await sweep()).refused).toMatchObject([{ id }])
    const [row] = await sql<{ due_at: Date }>('SELECT due_at FROM resource WHERE id = $1', [id])
    expect(row?.due_at.getTime()).toBe(expiresAt.getTime() - shift)
  })
})
