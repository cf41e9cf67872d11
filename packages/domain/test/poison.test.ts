import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineKind } from '../src/index.ts'
import { plain } from './kinds.ts'
import { day, testDomain } from './support.ts'

const letter = () => ({ subject: 'over', lines: [] })
/** Whose payload bounds nothing. */
const loose = defineKind({
  ...{ name: 'loose', payload: z.object({ email: z.string().optional() }), lifetime: { default: '1d', max: '9d' } },
  contact: ({ payload }) => payload.email,
  mail: { expired: letter },
})
/** What its hook writes is refused only by the commit. */
const deferred = defineKind({
  ...{ name: 'deferred', payload: plain.payload, lifetime: { default: '1d', max: '9d' } },
  hooks: {
    expired: async (tx, happenings) => {
      for (const { resource } of happenings)
        if (resource.subject === 'bad') await tx.$executeRaw`INSERT INTO debt VALUES (404)`
    },
  },
})

/** Whose hook throws what no text of PostgreSQL holds, or what nobody can read. */
const garbled = defineKind({
  ...{ name: 'garbled', payload: plain.payload, lifetime: { default: '1d', max: '9d' } },
  hooks: {
    expired: async (_, happenings) => {
      if (happenings.some(({ resource }) => resource.subject === 'bad')) throw new Error('out\0of order')
      if (happenings.some(({ resource }) => resource.subject === 'worse')) throw Object.create(null)
    },
  },
})

const { domain, age, history, sql } = await testDomain([plain, loose, deferred, garbled])
const { resources } = domain
await sql(`CREATE TABLE lender (id int PRIMARY KEY);
  CREATE TABLE debt (lender int REFERENCES lender DEFERRABLE INITIALLY DEFERRED);
  GRANT SELECT, INSERT ON lender, debt TO PUBLIC`)
const sweep = () => domain.advance({ trigger: 'sweep' })

/** Whether its next try is later than the last. Puts it off for good, for on a busy machine it would be in the next test. */
const isPutOff = async (id: string): Promise<boolean> => {
  const [row] = await sql<{ off: boolean }>(
    `SELECT r.due_at > (SELECT max(at) FROM event WHERE resource_id = r.id) AS off FROM resource r WHERE id = $1`,
    [id],
  )
  await sql(`UPDATE resource SET due_at = due_at + interval '1 day' WHERE id = $1`, [id])
  return row?.off ?? false
}

describe('a row that nobody can move', () => {
  it('is not made: an address that is too long for the ledger is refused at issue', async () => {
    const email = `${'x'.repeat(5_000)}@example.com`
    await expect(resources.issue({ kind: 'loose', payload: { email } })).rejects.toMatchObject({
      status: 422,
      field: 'payload',
    })
  })

  it('and if there is one all the same, the others of its batch end, and it is put off, denied and told of', async () => {
    const all = await resources.issueAll([1, 2, 3].map(() => ({ kind: 'loose', payload: { email: 'a@example.com' } })))
    const [first = '', bad = '', last = ''] = all.map(({ resource }) => resource.id)
    await sql('UPDATE resource SET contact = $2 WHERE id = $1', [bad, randomBytes(9_000).toString('hex')])
    for (const id of [first, bad, last]) await age(id, 2 * day)
    const { rows, refused } = await sweep()
    expect(rows.map(({ id }) => id).sort()).toEqual([first, last].sort())
    expect(refused.map(({ id }) => id)).toEqual([bad])
    expect(await history(bad)).toEqual(['issued', 'step-failed'])
    expect(await resources.check('loose', bad)).toMatchObject({ allowed: false, reason: 'expired' })
    expect(await isPutOff(bad)).toBe(true)
  })

  it('because what its hook wrote is refused by the commit, is put off too, and its batch goes on', async () => {
    const all = await resources.issueAll(['good', 'bad', 'good'].map((subject) => ({ kind: 'deferred', subject })))
    const [first = '', bad = '', last = ''] = all.map(({ resource }) => resource.id)
    for (const id of [first, bad, last]) await age(id, 2 * day)
    const { rows, refused } = await sweep()
    expect(rows.map(({ id }) => id).sort()).toEqual([first, last].sort())
    expect(refused.map(({ id }) => id)).toEqual([bad])
    expect(await history(bad)).toEqual(['issued', 'step-failed'])
    expect(await isPutOff(bad)).toBe(true)
  })

  it('because what its hook throws can be neither stored nor read, is put off too, and its batch goes on', async () => {
    const subjects = ['good', 'bad', 'worse', 'good']
    const all = await resources.issueAll(subjects.map((subject) => ({ kind: 'garbled', subject })))
    const [first = '', bad = '', worse = '', last = ''] = all.map(({ resource }) => resource.id)
    for (const id of [first, bad, worse, last]) await age(id, 2 * day)
    const { rows, refused } = await sweep()
    expect(rows.map(({ id }) => id).sort()).toEqual([first, last].sort())
    expect(refused.map(({ id }) => id)).toEqual(expect.arrayContaining([bad, worse]))
    for (const id of [bad, worse]) expect(await history(id)).toEqual(['issued', 'hook-failed'])
  })
})
