import { describe, expect, it } from 'vitest'
import { testGrants } from './grants.ts'
import { hour, tally } from './support.ts'

const { age, domain, elsewhere, fresh, grants, history, holding, lockWaiters, organizations, sql, standing } =
  await testGrants()
const others = elsewhere()
const triple = (resource: string) => ({ resource, relation: 'viewer', subject: 'user:7' })
const times = <T>(n: number, act: (at: typeof grants, i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: n }, (_, i) => act(i % 2 ? grants : others, i)))
const codeOf = (error: unknown) => {
  const { code, meta } = error as {
    code: string
    meta?: { driverAdapterError?: { cause?: { originalCode?: string } } }
  }
  return meta?.driverAdapterError?.cause?.originalCode ?? code
}

/** Each triple's story as the audit has it: at most one is live at any time, and each ends once. */
const endsOf = async (resource: string) => {
  const rows = await sql<{ id: string }>('SELECT id FROM resource WHERE scope = $1', [resource])
  const ends = await Promise.all(
    rows.map(async ({ id }) => (await history(id)).filter((type) => type === 'revoked' || type === 'expired').length),
  )
  return tally(ends.map(String))
}

describe('40 at once', () => {
  it.each(['free', 'dead', 'dead and being swept'])('create the same, which is %s: one does', async (state) => {
    for (let round = 0; round < 4; round++) {
      const resource = fresh()
      if (state !== 'free') await age((await grants.create(triple(resource))).id, 2 * hour)
      const sweeps = state === 'dead and being swept' ? times(4, () => domain.advance({ trigger: 'sweep' })) : undefined
      const outcomes = await times(40, (at) => at.create(triple(resource)).then(() => 'granted', codeOf))
      await sweeps
      expect(tally(outcomes)).toEqual({ granted: 1, grant_live: 39 })
      expect(await standing(resource)).toBe(1)
      expect(await endsOf(resource)).toEqual(state === 'free' ? { 0: 1 } : { 0: 1, 1: 1 })
    }
  })

  it.each(['free', 'live', 'dead'])(
    'touch the same, which is %s: one stands, with an end that one of them named',
    async (state) => {
      const resource = fresh()
      if (state !== 'free') {
        const { id } = await grants.create(triple(resource))
        if (state === 'dead') await age(id, 2 * hour)
      }
      const touched = await times(40, (at, i) => at.touch({ ...triple(resource), expiresInMs: hour + i * 1_000 }))
      expect(await standing(resource)).toBe(1)
      const [stands] = await grants.list({ resource })
      const last = touched.find(({ version }) => version === stands?.version)
      expect(stands).toMatchObject({ id: last?.id, expiresAt: last?.expiresAt, version: state === 'live' ? 41 : 40 })
      expect(new Set(touched.map(({ id }) => id)).size).toBe(1)
    },
  )

  it('touch and delete the same: at most one stands, each ends once, and nobody is told otherwise', async () => {
    const resource = fresh()
    const outcomes = await times(40, async (at, i) => {
      if (i % 4 < 2) return (await at.touch({ ...triple(resource), expiresInMs: hour })).id
      return `${await at.delete(triple(resource))} deleted`
    })
    const deleted = outcomes.filter((outcome) => outcome === '1 deleted').length
    const issued = new Set(outcomes.filter((outcome) => !outcome.endsWith('deleted'))).size
    expect(await standing(resource)).toBe(issued - deleted)
    expect(await endsOf(resource)).toEqual(tally([...Array(deleted).fill('1'), ...Array(issued - deleted).fill('0')]))
  })

  it('B2: touch what expires meanwhile: it is either given its end, or expires and is granted anew', async () => {
    const resources = Array.from({ length: 40 }, fresh)
    const made = await grants.import(resources.map(triple))
    const outcomes = await times(40, async (at, i) => {
      const { id } = made[i] as (typeof made)[0]
      const [touched] = await Promise.all([
        at.touch({ ...triple(resources[i] ?? ''), expiresInMs: hour }),
        age(id, 2 * hour),
        domain.advance({ trigger: 'job' }, { ids: [id] }),
      ])
      return { id, touched }
    })
    for (const { id, touched } of outcomes) {
      const story = (await history(id)).slice(1)
      // Moved after it was touched, the date is past again: then it is for the sweep.
      if (touched.id === id) expect([['renewed'], ['renewed', 'expired']]).toContainEqual(story)
      else expect(story).toEqual(['expired'])
      expect(await standing(touched.resource)).toBeLessThanOrEqual(1)
    }
  })
})

describe('a lock', () => {
  it('that a writer of one organization waits for holds up nobody who writes the same triple in another', async () => {
    const resource = fresh()
    const [here, there] = await Promise.all(
      ['here', 'there'].map(
        async (name) => (await domain.ownVerbs(async () => true).organizations.create({ name })).id,
      ),
    )
    const { id } = await grants.create({ ...triple(resource), organization: here })
    await holding(id, async () => {
      const waiting = grants
        .touch({ ...triple(resource), organization: here, expiresInMs: hour })
        .catch(({ code }) => code)
      await lockWaiters(1)
      expect(await grants.create({ ...triple(resource), organization: there })).toMatchObject({ organizationId: there })
      await waiting
    })
  })

  it('that a touch has waited for across the end: what has ended is granted anew', async () => {
    const resource = fresh()
    const { id } = await grants.create(triple(resource))
    const touching: ReturnType<typeof grants.touch>[] = []
    await holding(id, async (other) => {
      touching.push(grants.touch({ ...triple(resource), expiresInMs: hour }))
      await lockWaiters(1)
      await other.query(
        `UPDATE resource SET (issued_at, expires_at, ends_at, due_at) =
          (issued_at - day, expires_at - day, ends_at - day, due_at - day) FROM (SELECT interval '1 day' AS day) d WHERE id = $1`,
        [id],
      )
    })
    const [touched] = await Promise.all(touching)
    expect(touched?.id).not.toBe(id)
    expect(await history(id)).toEqual(['issued', 'expired'])
    expect(await standing(resource)).toBe(1)
  })
})

describe('bulks', () => {
  const bulkOf = (resources: readonly string[], i: number) => (i % 2 ? resources.toReversed() : resources)

  it.each(['create', 'touch', 'delete'] as const)(
    '%s the same in opposite order: they wait for each other, and never in a circle',
    async (op) => {
      const resources = Array.from({ length: 100 }, fresh)
      if (op === 'delete') await grants.import(resources.map(triple))
      const outcomes = await times(8, (at, i) =>
        at
          .write(
            bulkOf(resources, i).map((resource) => ({
              op,
              ...triple(resource),
              ...(op !== 'delete' && { expiresInMs: hour }),
            })),
          )
          .then(
            ({ written }) =>
              JSON.stringify(tally(written.map((w) => (w.outcome === 'deleted' ? `${w.count}` : w.outcome)))),
            codeOf,
          ),
      )
      const expected = {
        create: { '{"granted":100}': 1, grant_live: 7 },
        touch: { '{"granted":100}': 1, '{"changed":100}': 7 },
        delete: { '{"1":100}': 1, '{"0":100}': 7 },
      }
      expect(tally(outcomes)).toEqual(expected[op])
    },
  )

  it('with an end for each, against a cascade that holds them in its own order: neither waits in a circle', async () => {
    for (let round = 0; round < 3; round++) {
      const subject = `user:cascade-${round}`
      const made = await grants.import(Array.from({ length: 100 }, () => ({ ...triple(fresh()), subject })))
      const updates = made.map(({ resource }, i) => {
        return { op: 'touch', ...triple(resource), subject, expiresInMs: hour + i } as const
      })
      const outcomes = await Promise.all([
        grants.write(updates.toReversed()).then(() => 'done', codeOf),
        others.deleteAll({ subject }).then(() => 'done', codeOf),
      ])
      expect(outcomes).toEqual(['done', 'done'])
    }
  })

  it('of everything, overlapping, against each other, a cascade and a suspension: none waits in a circle', async () => {
    const { id: organization } = await organizations.create({ name: 'Acme' })
    const resources = Array.from({ length: 12 }, fresh)
    const outcomes = await times(40, async (at, i) => {
      if (i % 10 === 8) return at.deleteAll({ subject: 'user:7', organization }).then(() => 'done', codeOf)
      if (i === 19)
        return organizations
          .suspend(organization)
          .then(() => organizations.restore(organization))
          .then(() => 'done', codeOf)
      const own = bulkOf(resources, i).filter((_, n) => (n + i) % 3 > 0)
      const updates = own.map((resource, n) => {
        const op = (n + i) % 5 === 0 ? 'delete' : 'touch'
        return { op, ...triple(resource), ...(op === 'touch' && { expiresInMs: hour }) } as const
      })
      return at.write(updates as Parameters<typeof at.write>[0], { organization }).then(() => 'done', codeOf)
    })
    // 55P03: it has waited for its time, as on a busy machine. In a circle it would be 40P01.
    const expected = new Set(['organization_not_active', '55P03'])
    expect(Object.keys(tally(outcomes)).filter((code) => !expected.has(code))).toEqual(['done'])
    const [twice] = await sql(
      `SELECT reference FROM resource WHERE status IN ('active', 'grace') GROUP BY reference HAVING count(*) > 1`,
    )
    expect(twice).toBeUndefined()
  })
})
