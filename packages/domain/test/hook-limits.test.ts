import { until } from '@lapse/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { cascade } from '../src/cascade.ts'
import { HookBudget } from '../src/hook-budget.ts'
import { defineKind, type Hook, type Prisma } from '../src/index.ts'
import { plain } from './kinds.ts'
import { testPeople } from './people.ts'
import { day, signal } from './support.ts'

const terms = { payload: plain.payload, lifetime: { default: '1d', max: '9d' }, reminders: [] } as const
const hung = signal()
afterAll(hung.give)
const hangs: Hook = () => hung.given
const hanging = ['hangs-a', 'hangs-b', 'hangs-c'].map((name) =>
  defineKind({ name, ...terms, hooks: { expired: hangs } }),
)
const quick = defineKind({ name: 'quick', ...terms, hooks: { expired: () => {} } })

/** How many rows each call had, of a hook that refuses subjects called `bad`. */
const calls: number[] = []
let onCall = () => {}
const picky = defineKind({
  ...{ name: 'picky', ...terms },
  hooks: {
    expired: (_, happenings) => {
      calls.push(happenings.length)
      onCall()
      if (happenings.some(({ resource }) => resource.subject === 'bad')) throw new Error('out of order')
    },
  },
})

/** Keeps its transaction, and writes when it is told to. */
const late = { kept: [] as Prisma.TransactionClient[], go: signal(), error: undefined as unknown }
let lateCalls = 0
const writesLate: Hook = async (tx, happenings) => {
  lateCalls += 1
  await late.go.given
  const id = happenings[0]?.resource.id
  await tx.$executeRaw`INSERT INTO note VALUES (${id}::uuid)`.catch((error) => {
    late.error = error
  })
}
const tardy = defineKind({ name: 'tardy', ...terms, hooks: { suspended: writesLate, revoked: writesLate } })
const keeper = defineKind({
  ...{ name: 'keeper', ...terms },
  hooks: {
    revoked: (tx) => {
      late.kept.push(tx)
    },
  },
})

const kinds = [...hanging, quick, picky, tardy, keeper]
const { age, changing, company, domain, errors, history, holding, sql } = await testPeople(kinds)
const { resources } = domain
await sql('CREATE TABLE note (resource_id uuid); GRANT SELECT, INSERT ON note TO PUBLIC')

const over = async (kind: string, subjects: readonly string[]) => {
  const changes = await resources.issueAll(subjects.map((subject) => ({ kind, subject })))
  const ids = changes.map(({ resource }) => resource.id)
  await age(ids, 2 * day)
  return ids
}
const endings = async (ids: readonly string[]) =>
  (await sql(`SELECT FROM event WHERE type = 'expired' AND resource_id = ANY ($1)`, [ids])).length
const ofKind = (...names: string[]) => ({ kinds: names.map((name) => domain.registry.get(name)) })

describe('kinds whose hooks hang', () => {
  it('hold a connection each, and delay neither other hooks, nor kinds without, nor checks, nor transactions', async () => {
    const stuck = (await Promise.all(hanging.map(({ name }) => over(name, ['a', 'b', 'c'])))).flat()
    const rest = await over('quick', ['a'])
    const lanes = hanging.flatMap(({ name }) =>
      [false, true].map((latestFirst) =>
        domain.advance({ trigger: 'job' }, { ...ofKind(name), latestFirst, limit: 1 }),
      ),
    )
    await until(async () => (await changing()) === 3, { what: 'the hooks to hang' })
    // Denials lapse what they find, and would take as many connections as they are.
    const denials = await Promise.all(stuck.map((id, i) => resources.check(`hangs-${'abc'[Math.floor(i / 3)]}`, id)))
    expect(denials).toHaveLength(9)
    expect(await changing()).toBe(3)

    await domain.advance({ trigger: 'job' }, ofKind('quick'))
    expect(await history(rest[0] ?? '')).toEqual(['issued', 'expired'])
    const work = Array.from({ length: 12 }, (_, i) =>
      domain.once({ owner: 'me', key: `beside ${i}`, fingerprint: '' }, async (tx) => {
        const { resource } = await resources.within(tx).issue({ kind: 'quick' })
        return { id: resource.id }
      }),
    )
    expect(await Promise.all(work)).toHaveLength(12)
    expect(await changing()).toBe(3)
    expect(await endings(stuck)).toBe(0)
    hung.give()
    await Promise.all(lanes)
    await domain.advance({ trigger: 'sweep' }, ofKind(...hanging.map(({ name }) => name)))
    expect(await endings(stuck)).toBe(stuck.length)
  })

  it('run no hook for a consume that finds its resource over inside a transaction', async () => {
    const ids = await over(
      'picky',
      Array.from({ length: 20 }, () => 'good'),
    )
    calls.length = 0
    const consumed = ids.map((id) =>
      domain.once({ owner: 'me', key: id, fingerprint: '' }, async (tx) => {
        const { consumed } = await resources.within(tx).consume('picky', id)
        return { consumed }
      }),
    )
    expect((await Promise.all(consumed)).filter(({ answer }) => answer.consumed)).toEqual([])
    expect([calls, errors]).toEqual([[], []])
    await domain.advance({ trigger: 'sweep' }, ofKind('picky'))
    expect([await endings(ids), calls]).toEqual([20, [20]])
  })
})

it('what is over is refused while its hook has it locked: no verb waits for that', async () => {
  const [id = ''] = await over('picky', ['good'])
  await holding(id, async () => {
    expect(await resources.consume('picky', id)).toMatchObject({ consumed: false, reason: 'expired' })
    await expect(resources.renew('picky', id, { expiresInMs: day })).rejects.toMatchObject({ code: 'already_ended' })
    expect(await resources.revoke('picky', id)).toMatchObject({ moved: false, resource: { status: 'expired' } })
    expect(await resources.expire('picky', id)).toMatchObject({ moved: false, resource: { status: 'expired' } })
  })
  await domain.advance({ trigger: 'sweep' }, ofKind('picky'))
  expect(await history(id)).toEqual(['issued', 'expired'])
})

describe('a batch with a bad row', () => {
  it('is halved until that row stands alone: the others take no call each', async () => {
    const ids = await over(
      'picky',
      Array.from({ length: 500 }, (_, i) => (i === 123 ? 'bad' : 'good')),
    )
    calls.length = 0
    const { refused, rows } = await domain.advance({ trigger: 'sweep' }, ofKind('picky'))
    expect([rows.length, refused.map(({ id }) => id)]).toEqual([499, [ids[123]]])
    // Two for each time that 500 can be halved, and the first.
    expect(calls.length).toBeLessThanOrEqual(19)
    await sql('DELETE FROM resource WHERE id = $1', [ids[123]])
  })

  it('is left to others when the process stops', async () => {
    const stop = new AbortController()
    const ids = await over(
      'picky',
      Array.from({ length: 50 }, () => 'bad'),
    )
    calls.length = 0
    onCall = () => stop.abort(new Error('stopping'))
    const { refused, rows } = await domain.advance({ trigger: 'sweep' }, { ...ofKind('picky'), signal: stop.signal })
    onCall = () => {}
    expect([rows, refused, calls]).toEqual([[], [], [50]])
    expect(await domain.advance({ trigger: 'sweep' }, { ...ofKind('picky'), signal: stop.signal })).toMatchObject({
      ...{ rows: [], refused: [] },
    })
    expect(calls).toEqual([50])
    await sql('DELETE FROM resource WHERE id = ANY ($1)', [ids])
  })
})

describe('the tx of a hook', () => {
  it('refuses statements when the hook has exceeded its deadline, though the transaction goes on and commits', async () => {
    const { organization } = await company()
    const issue = async () => (await resources.issue({ kind: 'tardy', organization: organization.id })).resource.id
    const ids = [await issue(), await issue()]
    await domain.once({ owner: 'me', key: 'tardy', fingerprint: '' }, async (tx) => {
      const work = { tx, registry: domain.registry, resources: resources.within(tx), changes: [] }
      const own = { ...work, hookBudget: new HookBudget(200) }
      await cascade(own, 'suspend', { organizationId: organization.id }, {})
      late.go.give()
      await until(async () => late.error !== undefined, { what: 'the late statement' })
      // It hung once: of the same transaction it is not asked again.
      await cascade(own, 'revoke', { organizationId: organization.id }, {})
      return {}
    })
    expect(late.error).toMatchObject({
      ...{ name: 'HookOverError' },
      message: expect.stringContaining('the suspended hook of tardy was given up'),
    })
    expect(await sql('SELECT FROM note')).toEqual([])
    expect(lateCalls).toBe(1)
    for (const id of ids)
      expect(await history(id)).toEqual(['issued', 'suspended', 'hook-failed', 'revoked', 'hook-failed'])
    const reasons = (await domain.events({ resourceId: ids[0] ?? '', type: 'hook-failed' })).map(({ reason }) => reason)
    expect(reasons).toEqual([
      'not called: the hooks before it have used up their time',
      expect.stringContaining('it did not finish within'),
    ])
  })

  it('refuses statements when the hook has returned, in the same transaction and after it', async () => {
    const { id } = (await resources.issue({ kind: 'keeper' })).resource
    const write = async () => {
      for (const tx of late.kept) await tx.$executeRaw`INSERT INTO note VALUES (${id}::uuid)`
    }
    await domain.once({ owner: 'me', key: 'keeper', fingerprint: '' }, async (tx) => {
      await resources.within(tx).revoke('keeper', id)
      await expect(write()).rejects.toThrow('the revoked hook of keeper has returned: its tx takes no more statements')
      for (const kept of late.kept) await expect(kept.user.findMany()).rejects.toThrow('takes no more statements')
      return {}
    })
    await expect(write()).rejects.toThrow('takes no more statements')
    expect([late.kept.length, await sql('SELECT FROM note')]).toEqual([1, []])
  })
})
