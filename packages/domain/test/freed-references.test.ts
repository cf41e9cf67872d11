import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineKind } from '../src/index.ts'
import { plain } from './kinds.ts'
import { day, hour, signal, tally, testDomain } from './support.ts'

let isBroken = true
let waiting: Promise<void> | undefined
/** The resources its hook has run for, in what has committed. */
const failing = defineKind({
  ...{ name: 'failing', payload: plain.payload, lifetime: { default: '1d', max: '9d' }, grace: '1d', reminders: [] },
  hooks: {
    expired: async (tx, happenings) => {
      for (const { resource } of happenings)
        await tx.$executeRaw`INSERT INTO note VALUES (${resource.id}::uuid, ${resource.reference})`
      await waiting
      if (isBroken) throw new Error('out of order')
    },
  },
})
/** Its reminders fail. */
const reminding = defineKind({
  ...{ name: 'reminding', payload: plain.payload, lifetime: { default: '2d', max: '9d' }, reminders: ['1d'] },
  hooks: { reminded: () => Promise.reject(new Error('out of order')) },
})
/** Whose payload bounds nothing. */
const loose = defineKind({
  ...{ name: 'loose', payload: z.object({ email: z.string().optional() }), lifetime: { default: '1d', max: '9d' } },
  contact: ({ payload }) => payload.email,
  mail: { expired: () => ({ subject: 'over', lines: [] }) },
})
const { domain, age, another, changing, history, sql } = await testDomain([failing, reminding, loose])
const { resources } = domain
await sql('CREATE TABLE note (resource_id uuid, reference text); GRANT SELECT, INSERT ON note TO PUBLIC')

const sweep = () => domain.advance({ trigger: 'sweep' }, { kinds: [failing] })
const issue = async (reference: string) => (await resources.issue({ kind: 'failing', reference })).resource.id
const over = async (reference: string) => {
  const id = await issue(reference)
  await age(id, 3 * day)
  return id
}
/** Its hook works again, and its next try has come. */
const mend = async (id: string) => {
  isBroken = false
  await age(id, hour)
  await sweep()
  isBroken = true
}
const notes = async (id: string) =>
  (await sql<{ reference: string }>('SELECT reference FROM note WHERE resource_id = $1', [id])).map(
    (row) => row.reference,
  )

describe('the reference of a resource that is over while its hook fails', () => {
  it.each([
    ['swept before', sweep],
    ['not looked at before', async () => {}],
  ])('belongs to the next one that is issued, %s; its own end and hook come later, once', async (name, before) => {
    const old = await over(name)
    await before()
    const next = await issue(name)
    expect(await notes(old)).toEqual([])
    expect(await resources.check('failing', { reference: name })).toMatchObject({
      allowed: true,
      resource: { id: next },
    })
    await expect(issue(name)).rejects.toMatchObject({ code: 'reference_taken' })
    await sweep()
    await mend(old)
    await sweep()
    expect((await history(old)).filter((type) => type !== 'hook-failed')).toEqual(['issued', 'expired'])
    expect([await notes(old), await history(next)]).toEqual([[name], ['issued']])
    expect(await resources.check('failing', { reference: name })).toMatchObject({
      allowed: true,
      resource: { id: next },
    })
  })

  it('can be taken by a bulk, and inside a transaction', async () => {
    const [one, other] = [await over('bulk'), await over('inside')]
    await resources.issueAll([{ kind: 'failing', reference: 'bulk' }])
    await domain.once({ owner: 'me', key: 'inside', fingerprint: '' }, async (tx) => {
      await resources.within(tx).issue({ kind: 'failing', reference: 'inside' })
      return {}
    })
    for (const id of [one, other]) expect([await history(id), await notes(id)]).toEqual([['issued'], []])
    isBroken = false
    await sweep()
    isBroken = true
    for (const id of [one, other]) expect(await history(id)).toEqual(['issued', 'expired'])
  })

  it('goes to exactly one of many, in whatever process', async () => {
    await over('wanted')
    const elsewhere = another([failing, loose])
    const issued = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        (i % 2 ? elsewhere : domain).resources.issue({ kind: 'failing', reference: 'wanted' }),
      ),
    )
    expect(tally(issued.map(({ status }) => status))).toEqual({ fulfilled: 1, rejected: 19 })
    const [{ live } = { live: 0 }] = await sql<{ live: number }>(
      `SELECT count(*)::int AS live FROM resource WHERE reference = 'wanted' AND ends_at > clock_timestamp()`,
    )
    expect(live).toBe(1)
  })

  it('is free already while a hook that was slow before is under way', async () => {
    await sql('DELETE FROM resource')
    const slow = await over('slow')
    waiting = sleep(1_100)
    await sweep()
    await sql('DELETE FROM resource WHERE id = $1', [slow])
    const id = await over('under way')
    const left = signal()
    waiting = left.given
    const sweeping = sweep()
    await until(async () => (await changing()) > 0, { what: 'the hook to begin' })
    expect(await issue('under way')).not.toBe(id)
    expect(await history(id)).toEqual(['issued'])
    left.give()
    waiting = undefined
    await sweeping
    expect(await history(id)).toEqual(['issued', 'hook-failed'])
  })

  it('leads to the new one, even if the old one’s id came from a clock that was ahead', async () => {
    const old = await over('skewed')
    await sql(`UPDATE resource SET id = '7fffffff-ffff-7fff-bfff-fffffffffffe' WHERE id = $1`, [old])
    const id = await issue('skewed')
    expect(await resources.check('failing', { reference: 'skewed' })).toMatchObject({ allowed: true, resource: { id } })
  })

  it('stays its own while it is live, whatever its hooks do', async () => {
    const { id } = (await resources.issue({ kind: 'reminding', reference: 'live' })).resource
    await age(id, day + hour)
    const { refused } = await domain.advance({ trigger: 'sweep' }, { kinds: [reminding] })
    expect(refused).toMatchObject([{ id, error: { message: expect.stringContaining('out of order') } }])
    await expect(resources.issue({ kind: 'reminding', reference: 'live' })).rejects.toMatchObject({
      code: 'reference_taken',
    })
  })

  it('stays its own while it is live, and in grace', async () => {
    const id = await issue('renewed')
    await expect(issue('renewed')).rejects.toMatchObject({ code: 'reference_taken' })
    await age(id, day + hour)
    // In grace it is live still.
    await expect(issue('renewed')).rejects.toMatchObject({ code: 'reference_taken' })
  })
})

it('the reference of a row without hooks that PostgreSQL refuses to move is free too', async () => {
  const issueLoose = () => resources.issue({ kind: 'loose', reference: 'stuck', payload: { email: 'a@example.com' } })
  const { id } = (await issueLoose()).resource
  await sql('UPDATE resource SET contact = $2 WHERE id = $1', [id, randomBytes(9_000).toString('hex')])
  await age(id, 2 * day)
  expect((await issueLoose()).resource.id).not.toBe(id)
  expect(await history(id)).toEqual(['issued', 'step-failed'])
  await age(id, hour)
  await domain.once({ owner: 'me', key: 'stuck', fingerprint: '' }, async (tx) => {
    await expect(resources.within(tx).check('loose', id)).resolves.toMatchObject({ allowed: false })
    // The transaction is as good as before.
    return { at: await tx.$queryRaw`SELECT 1 AS one` }
  })
})
