import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type Change, defineKind } from '../src/index.ts'
import { coupon, membership, plain } from './kinds.ts'
import { day, hour, testDomain } from './support.ts'

/** A kind whose issue has company. */
const guarded = defineKind({
  ...{ name: 'guarded', payload: plain.payload, lifetime: { default: '1d', max: '1d' } },
  hooks: { issued: () => {} },
})
const { domain, age, history, holding, lockWaiters, sql } = await testDomain([plain, coupon, membership, guarded])
const { resources } = domain

const count = async () => (await sql<{ n: number }>('SELECT count(*)::int AS n FROM resource'))[0]?.n
const taken = { code: 'reference_taken' }

describe('a reference', () => {
  it('belongs to one live resource of a kind', async () => {
    const { resource } = await resources.issue({ kind: 'plain', reference: 'one' })
    await expect(resources.issue({ kind: 'plain', reference: 'one' })).rejects.toMatchObject({
      ...taken,
      detail: expect.stringContaining(resource.id),
    })
    await resources.issue({ kind: 'coupon', reference: 'one' })
    expect(await resources.check('plain', { reference: 'one' })).toMatchObject({ resource: { id: resource.id } })
  })

  it.each([
    ['expired and not yet swept', (id: string) => age(id, 14 * day)],
    ['revoked', (id: string) => resources.revoke('plain', id)],
    ['consumed', (id: string) => resources.consume('plain', id)],
  ])('B6: can be issued again after it was %s, and ends again', async (state, end) => {
    const first = (await resources.issue({ kind: 'plain', reference: state })).resource
    await end(first.id)
    const next = (await resources.issue({ kind: 'plain', reference: state })).resource
    expect(await resources.check('plain', { reference: state })).toMatchObject({
      allowed: true,
      resource: { id: next.id },
    })
    await age(next.id, 14 * day)
    expect(await resources.check('plain', { reference: state })).toMatchObject({ allowed: false, reason: 'expired' })
    expect(await history(next.id)).toEqual(['issued', 'expired'])
    expect((await history(first.id)).length).toBe(2)
  })

  it('C2: leads to the live one, even if an older one’s id came from a clock that was ahead', async () => {
    const first = (await resources.issue({ kind: 'plain', reference: 'skewed' })).resource
    await resources.revoke('plain', first.id)
    await sql(`UPDATE resource SET id = '7fffffff-ffff-7fff-bfff-ffffffffffff' WHERE id = $1`, [first.id])
    const next = (await resources.issue({ kind: 'plain', reference: 'skewed' })).resource
    expect(await resources.check('plain', { reference: 'skewed' })).toMatchObject({
      allowed: true,
      resource: { id: next.id },
    })
  })

  it('is free once whoever is just ending its dead holder is done: the issue waits for them', async () => {
    const { resource: holder } = await resources.issue({ kind: 'plain', reference: 'waiting' })
    await age(holder.id, 14 * day)
    const issuing: Promise<Change>[] = []
    await holding(holder.id, async (other) => {
      issuing.push(resources.issue({ kind: 'plain', reference: 'waiting' }))
      await lockWaiters(1)
      await other.query(
        `UPDATE resource SET status = 'expired', ended_at = ends_at, next_step = 'purge' WHERE id = $1`,
        [holder.id],
      )
    })
    expect(await Promise.all(issuing)).toMatchObject([{ resource: { reference: 'waiting', status: 'active' } }])
  })

  it('needs no second connection inside a transaction, where it could be one too many', async () => {
    const references = Array.from({ length: 20 }, (_, i) => `busy-${i}`)
    const holders = await resources.issueAll(references.map((reference) => ({ kind: 'plain', reference })))
    for (const { resource } of holders) await age(resource.id, 14 * day)
    const again = await Promise.all(
      references.map((reference) =>
        domain.once({ owner: 'me', key: reference, fingerprint: 'f' }, async (tx) => {
          const { resource } = await resources.within(tx).issue({ kind: 'plain', reference })
          return { id: resource.id }
        }),
      ),
    )
    expect(new Set(again.map(({ answer }) => answer.id)).size).toBe(20)
  })
})

describe('a reference in organizations', async () => {
  const { organizations } = domain.ownVerbs(async () => true)
  const [acme, other] = [
    await organizations.create({ name: 'Acme', reference: 'acme' }),
    await organizations.create({ name: 'Other' }),
  ]
  const reference = 'shared'
  const issue = async (organization?: string) =>
    (await resources.issue({ kind: 'plain', reference, organization })).resource
  const leadsTo = async (organization?: string) =>
    (await resources.check('plain', { reference, organization })).resource?.id

  it('M1: two organizations and the host use the same one, and each finds its own', async () => {
    const [theirs, others, own] = [await issue(acme.id), await issue(other.id), await issue()]
    expect(await leadsTo()).toBe(own.id)
    expect(await leadsTo(acme.id)).toBe(theirs.id)
    expect(await leadsTo('acme')).toBe(theirs.id)
    expect(await leadsTo(other.id)).toBe(others.id)
    expect(await leadsTo(randomUUID())).toBeUndefined()
    for (const [organization, holder] of [
      [undefined, own],
      ['acme', theirs],
      [other.id, others],
    ] as const) {
      const refusal = await issue(organization).catch((error) => error)
      expect(refusal).toMatchObject({ ...taken, detail: `It belongs to ${holder.id}.` })
    }
    await resources.consume('plain', { reference, organization: 'acme' })
    await resources.revoke('plain', { reference, organization: other.id })
    expect((await resources.get(own.id)).status).toBe('active')
    expect((await resources.get(theirs.id)).status).toBe('consumed')
    expect((await resources.get(others.id)).status).toBe('revoked')
  })

  it('without an organization finds nothing of any', async () => {
    await resources.issue({ kind: 'coupon', reference: 'elsewhere', organization: acme.id })
    expect(await resources.check('coupon', { reference: 'elsewhere' })).toEqual({ allowed: false, reason: 'unknown' })
    await expect(resources.renew('coupon', { reference: 'elsewhere' }, { expiresInMs: hour })).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  it('is taken over from a dead holder of the same organization only', async () => {
    const places = [undefined, acme.id, other.id]
    const inputs = places.map((organization) => ({ kind: 'membership', reference: 'over', organization }))
    const before = await resources.issueAll(inputs)
    for (const { resource } of before) await age(resource.id, 60 * day)
    await resources.issueAll([{ kind: 'membership', reference: 'over', organization: 'acme' }])
    await resources.issue({ kind: 'membership', reference: 'over' })
    const freed = await sql<{ id: string }>(
      `SELECT id FROM resource WHERE reference = 'over' AND (status NOT IN ('active', 'grace') OR reference_freed_at IS NOT NULL)`,
    )
    expect(freed.map(({ id }) => id).sort()).toEqual([before[0], before[1]].map((one) => one?.resource.id).sort())
  })
})

describe('issueAll', () => {
  const taken = randomUUID()

  it('issues all in the order given, each with its event', async () => {
    const inputs = [3, 1, 2].map((hours) => ({ kind: 'plain', expiresInMs: hours * hour }))
    const changes = await resources.issueAll([...inputs, { kind: 'membership' }])
    const lives = changes.map(({ resource }) => (resource.expiresAt.getTime() - resource.issuedAt.getTime()) / hour)
    expect(lives).toEqual([3, 1, 2, 14 * 24])
    for (const { resource } of changes) expect(await history(resource.id)).toEqual(['issued'])
    expect(await resources.issueAll([])).toEqual([])
  })

  it.each([
    ['a lifetime out of range', { expiresInMs: 999 }, 'lifetime_too_short', '1.expires_in'],
    ['a payload at fault', { payload: { email: 'nobody' } }, 'invalid', '1.payload.email'],
    ['a reference that is taken', { reference: 'occupied' }, 'reference_taken', '1.reference'],
    ['a reference given twice', { reference: 'twice' }, 'reference_taken', '1.reference'],
    ['an id that is taken', { id: taken }, 'reference_taken', '1.reference'],
  ])('issues none when one has %s', async (_, fault, code, field) => {
    for (const kind of ['plain', 'guarded']) {
      if (!(await resources.check(kind, { reference: 'occupied' })).allowed)
        await resources.issue({ kind, reference: 'occupied' })
      if (!(await resources.check('plain', taken)).allowed) await resources.issue({ kind: 'plain', id: taken })
      const before = await count()
      // Without any reference it is one statement.
      const reference = 'reference' in fault ? 'twice' : undefined
      const inputs = [{ kind, reference }, { kind, ...fault }, { kind }]
      await expect(resources.issueAll(inputs)).rejects.toMatchObject({ code, field })
      expect(await count()).toBe(before)
    }
  })

  it('takes over references whose holders are over', async () => {
    const { resource } = await resources.issue({ kind: 'plain', reference: 'bulk' })
    await age(resource.id, 14 * day)
    const [change] = await resources.issueAll([{ kind: 'plain', reference: 'bulk' }])
    expect(change?.resource.id).not.toBe(resource.id)
  })
})
