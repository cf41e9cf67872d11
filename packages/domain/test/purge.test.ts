import { afterAll, describe, expect, it } from 'vitest'
import { openDatabase } from '../src/database.ts'
import { purgeResources } from '../src/store/purge.ts'
import { membership, plain } from './kinds.ts'
import { day, everythingIn, second, testDomain } from './support.ts'

const { domain, age, history, another, url } = await testDomain([plain, membership])
const database = openDatabase({ url })
afterAll(() => database.close())
const { resources, deliveries } = domain
const purge = async (limit = 100) => (await purgeResources(database, limit, { trigger: 'sweep' })).map(({ id }) => id)

const ended = async (kind = 'plain', payload = {}) => {
  const { resource } = await resources.issue({ kind, payload })
  await age(resource.id, 20 * day)
  await domain.advance({ trigger: 'sweep' })
  return resource.id
}

describe('purge', () => {
  it('D5: takes a row after its retention, not before, and leaves its events and says so in one', async () => {
    const id = await ended()
    await age(id, 30 * day - 10 * second)
    expect(await purge()).toEqual([])
    await age(id, 10 * second)
    expect(await purge()).toEqual([id])
    await expect(resources.get(id)).rejects.toMatchObject({ code: 'not_found' })
    expect(await history(id)).toEqual(['issued', 'expired', 'purged'])
    const [event] = await domain.events({ resourceId: id, type: 'purged' })
    expect(event).toMatchObject({ from: 'expired', to: null, trigger: 'sweep' })
    expect(await purge()).toEqual([])
  })

  it('D5: leaves a row that still owes somebody something, until it is sent or given up', async () => {
    const id = await ended('membership', { email: 'a@example.com' })
    await age(id, 60 * day)
    const owed = await deliveries.list({ resourceId: id })
    expect(owed).toHaveLength(2)
    for (const [i, { id: delivery }] of owed.entries()) {
      expect(await purge()).toEqual([])
      const claimed = await deliveries.claim(delivery, 1_000)
      expect(claimed.verdict).toBe('claimed')
      await deliveries.settle(delivery, 1, 1, i ? { status: 'sent' } : { status: 'dead', error: 'no such box' })
    }
    expect(await purge()).toEqual([id])
    expect(await deliveries.list({ resourceId: id })).toEqual([])
  })

  it('takes no more than it is told, the oldest first, and nothing that lives', async () => {
    const ids = [await ended(), await ended(), await ended()]
    for (const [i, id] of ids.entries()) await age(id, (100 - i) * day)
    const { resource } = await resources.issue({ kind: 'plain' })
    expect(await purge(2)).toEqual(ids.slice(0, 2))
    expect(await purge(2)).toEqual(ids.slice(2))
    expect(await resources.check('plain', resource.id)).toMatchObject({ allowed: true })
  })

  it('two at once take each row once', async () => {
    const all = await resources.issueAll(Array.from({ length: 60 }, () => ({ kind: 'plain' })))
    for (const { resource } of all) await resources.revoke('plain', resource.id)
    for (const { resource } of all) await age(resource.id, 31 * day)
    const taken = (await Promise.all([1, 2, 3, 4].map(() => purge(60)))).flat()
    expect(taken.sort()).toEqual(all.map(({ resource }) => resource.id).sort())
  })
})

describe('kinds that a process does not know', () => {
  it('are left to processes that do, so that no side effect is lost; and denied all the same', async () => {
    const stranger = another([plain])
    const { resource } = await resources.issue({ kind: 'membership', payload: { email: 'a@example.com' } })
    await age(resource.id, 20 * day)
    expect((await stranger.advance({ trigger: 'sweep' })).rows).toEqual([])
    expect((await stranger.advance({ trigger: 'job' }, { ids: [resource.id] })).rows).toEqual([])
    expect(await stranger.resources.get(resource.id)).toMatchObject({ status: 'expired', word: 'expired' })
    expect(await stranger.resources.list({ live: true, kind: 'membership' })).toEqual([])
    await expect(stranger.resources.check('membership', resource.id)).rejects.toMatchObject({ code: 'unknown_kind' })
    expect(await history(resource.id)).toEqual(['issued'])
    const { rows } = await domain.advance({ trigger: 'sweep' })
    expect(rows).toMatchObject([{ id: resource.id, type: 'expired', owed: [{ channel: 'email' }] }])
    const delivery = rows[0]?.owed?.[0]?.id ?? ''
    expect(await stranger.deliveries.claim(delivery, second)).toMatchObject({ verdict: 'settled' })
    expect((await stranger.deliveries.claimDue(everythingIn('email'))).claims).toEqual([])
    expect(await domain.deliveries.claim(delivery, second)).toMatchObject({ verdict: 'claimed' })
  })

  it('are armed by its look-ahead all the same, for the watermark is everybody’s', async () => {
    const stranger = another([plain])
    const { resource } = await resources.issue({ kind: 'membership' })
    const ids = async (at: typeof domain) => (await at.upcoming({}, { limit: 100 })).map(({ id }) => id)
    expect(await ids(domain)).toContain(resource.id)
    expect(await ids(stranger)).toContain(resource.id)
  })
})
