import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { openDatabase } from '../src/database.ts'
import { defineKind } from '../src/index.ts'
import { Registry } from '../src/registry.ts'
import { type Draft, insertResources } from '../src/store/issue.ts'
import { plain } from './kinds.ts'
import { day, tally, testDomain } from './support.ts'

const tenfold = defineKind({
  ...{ name: 'tenfold', payload: plain.payload, lifetime: { default: '1d', max: '60d' }, uses: 10, reminders: [] },
})
const kinds = [plain, tenfold]
const { domain, age, another, history, holding, lockWaiters, sql, url } = await testDomain(kinds)
const elsewhere = another(kinds)
const times = <T>(n: number, act: (at: typeof domain.resources, i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: n }, (_, i) => act((i % 2 ? domain : elsewhere).resources, i)))
const issue = async (kind: string, more: object = {}) => (await domain.resources.issue({ kind, ...more })).resource.id
const codeOf = (error: unknown) => (error as { code: string }).code

describe('consume', () => {
  it('50 at once: a single use succeeds exactly once', async () => {
    for (let round = 0; round < 5; round++) {
      const id = await issue('plain')
      const results = await times(50, (at) => at.consume('plain', id))
      expect(tally(results.map((result) => (result.consumed ? 'yes' : result.reason)))).toEqual({
        yes: 1,
        consumed: 49,
      })
      expect(await history(id)).toEqual(['issued', 'consumed'])
    }
  })

  it('I8: 100 at once on ten uses: exactly ten', async () => {
    const id = await issue('tenfold')
    const results = await times(100, (at) => at.consume('tenfold', id))
    expect(results.filter(({ consumed }) => consumed)).toHaveLength(10)
    expect(tally(await history(id))).toEqual({ issued: 1, used: 9, consumed: 1 })
    const counted = results.flatMap((result) => (result.consumed ? [result.resource.uses] : []))
    expect(counted.sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it('against a revocation: one of them ends it, and the other knows', async () => {
    const ids = await times(40, () => issue('plain'))
    const outcomes = await times(40, async (at, i) => {
      const id = ids[i] ?? ''
      const acts = [() => at.consume('plain', id), () => at.revoke('plain', id)] as const
      const [consumption, revocation] =
        i % 4 < 2 ? await both(acts[0], acts[1]) : (await both(acts[1], acts[0])).reverse()
      return { consumption, revocation }
    })
    for (const [i, { consumption, revocation }] of outcomes.entries()) {
      const [, end, ...more] = await history(ids[i] ?? '')
      expect(more).toEqual([])
      expect(revocation).toMatchObject({ resource: { status: end } })
      expect(consumption).toMatchObject(
        end === 'consumed' ? { consumed: true } : { consumed: false, reason: 'revoked' },
      )
    }
  })
})

const both = (one: () => Promise<unknown>, other: () => Promise<unknown>): Promise<unknown[]> =>
  Promise.all([one(), other()])

describe('a reference', () => {
  const issueAll = async (reference: string, n = 40) =>
    tally(await times(n, (at) => at.issue({ kind: 'plain', reference }).then(() => 'issued', codeOf)))
  const live = (reference: string) => domain.resources.count({ reference, live: true })

  it('issued 40 times at once is issued once', async () => {
    expect(await issueAll('new')).toEqual({ issued: 1, reference_taken: 39 })
    expect(await live('new')).toBe(1)
  })

  it('whose dead holder is being swept meanwhile goes to exactly one; the dead one ends once', async () => {
    for (let round = 0; round < 8; round++) {
      const reference = `dead-${round}`
      const id = await issue('plain', { reference })
      await age(id, 14 * day)
      const sweeps = times(6, async (_, i) => (i % 2 ? domain : elsewhere).advance({ trigger: 'sweep' }))
      expect(await issueAll(reference)).toEqual({ issued: 1, reference_taken: 39 })
      await sweeps
      expect(await live(reference)).toBe(1)
      expect(await history(id)).toEqual(['issued', 'expired'])
    }
  })

  it('in bulk against bulk: one bulk has them all, the others none', async () => {
    const inputs = Array.from({ length: 30 }, (_, i) => ({ kind: 'plain', reference: `bulk-${i}` }))
    const outcomes = await times(6, (at) => at.issueAll(inputs).then(() => 'issued', codeOf))
    expect(tally(outcomes)).toEqual({ issued: 1, reference_taken: 5 })
    const [row] = await sql(`SELECT count(*)::int AS n FROM resource WHERE reference LIKE 'bulk-%'`)
    expect(row).toEqual({ n: 30 })
  })

  it('wanted by bulks in opposite order: they wait for each other, and never in a circle', async () => {
    const database = openDatabase({ url })
    const draft = (reference: string): Draft => ({
      ...{
        id: randomUUID(),
        kind: 'plain',
        reference,
        scope: null,
        organization: null,
        subject: null,
        payload: {},
        contact: null,
        maxUses: 1,
      },
      ...{ selector: null, verifier: null, sealed: null, password: null, enclosed: null },
      ...{ maxUsesEach: null, startsAtMs: null, startsInMs: null, ownMax: false },
      ...{ expiresAtMs: null, lifeMs: day, graceMs: 0, minLifeMs: 0, maxLifeMs: day, reminders: [] },
    })
    for (let round = 0; round < 4; round++) {
      const references = Array.from({ length: 1_000 }, (_, i) => `opposite-${round}-${i}`)
      const bulks = [references, references.toReversed(), references, references.toReversed()]
      await Promise.all(
        bulks.map((bulk) => insertResources(database, bulk.map(draft), { trigger: 'manual' }, new Registry([plain]))),
      )
    }
    await database.close()
  })
})

describe('an idempotency key', () => {
  it('used 40 times at once: one issue; the others have its answer, or are told that it runs', async () => {
    const request = { owner: 'me', key: 'k', fingerprint: 'f' }
    const outcomes = await times(40, (at, i) =>
      (i % 2 ? domain : elsewhere)
        .once(request, async (tx) => ({
          id: (await at.within(tx).issue({ kind: 'plain', scope: 'once' })).resource.id,
        }))
        .then(({ answer }) => answer.id, codeOf),
    )
    const [row] = await domain.resources.list({ scope: 'once' })
    expect(await domain.resources.count({ scope: 'once' })).toBe(1)
    expect(new Set([...outcomes, 'idempotency_running'])).toEqual(new Set([row?.id, 'idempotency_running']))
  })
})

describe('a delivery', () => {
  it('claimed by 16 at once has one sender', async () => {
    const calling = defineKind({
      ...{
        name: 'calling',
        payload: plain.payload,
        lifetime: { default: '1d', max: '1d' },
        handlers: { issued: () => {} },
      },
    })
    const caller = another([calling])
    const { owed } = await caller.resources.issue({ kind: 'calling' })
    const other = another([calling])
    const id = owed[0]?.id ?? ''
    const claim = (i: number) => (i % 2 ? caller : other).deliveries.claim(id, 30_000)
    const waiting: ReturnType<typeof claim>[] = []
    // They meet at the lock for certain.
    await holding(
      id,
      async () => {
        waiting.push(...Array.from({ length: 16 }, (_, i) => claim(i)))
        // As many as may hold a connection for upkeep.
        await lockWaiters(14)
      },
      'delivery',
    )
    const claims = await Promise.all(waiting)
    expect(tally(claims.map(({ verdict }) => verdict))).toEqual({ claimed: 1, later: 15 })
    expect((await caller.deliveries.get(id)).log).toHaveLength(1)
  })
})
