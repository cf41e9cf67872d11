import { expect, it } from 'vitest'
import { shareLink } from '../src/index.ts'
import { testPeople } from './people.ts'
import { minute, tally } from './support.ts'

const { elsewhere, domain, history, people, sql } = await testPeople([shareLink])
const here = people.shareLinks
const there = elsewhere().shareLinks

const create = (more: object = {}) => here.create({ title: 'Report', ...more })

it('I8: 40 unlock at once what may be viewed three times: exactly three passes, three views', async () => {
  const { link, token } = await create({ maxViews: 3 })
  const unlocked = await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 ? here : there).unlock(token)))
  expect(tally(unlocked.map(({ status }) => status))).toEqual({ unlocked: 3, denied: 37 })
  const { uses, status, expiresAt, seenAt } = await domain.resources.get(link.id)
  expect([uses, status]).toEqual([3, 'active'])
  expect(expiresAt.getTime() - seenAt.getTime()).toBeLessThanOrEqual(10 * minute)
  expect(tally(await history(link.id))).toEqual({ issued: 1, used: 3, renewed: 1, refused: 37 })
})

it('it is revoked while 40 unlock it: from then on not one of their passes is good', async () => {
  const { link, token } = await create()
  const unlocking = Array.from({ length: 40 }, (_, i) => (i % 2 ? here : there).unlock(token))
  await Promise.race(unlocking)
  await domain.resources.revoke('share-link', link.id)
  const unlocked = await Promise.all(unlocking)
  for (const one of unlocked) if (one.status === 'unlocked') expect(await here.checkPass(one.pass)).toBeUndefined()
  const [row] = await sql(
    `SELECT uses, (SELECT count(*)::int FROM event e WHERE e.resource_id = r.id AND e.type = 'used' AND e.at > r.ended_at) AS late
    FROM resource r WHERE id = $1`,
    [link.id],
  )
  expect(row).toEqual({ uses: unlocked.filter(({ status }) => status === 'unlocked').length, late: 0 })
})

it('40 passwords at once are compared two at a time, and all are answered', async () => {
  const { token } = await create({ password: 'correct horse', maxViews: 2 })
  const unlocked = await Promise.all(
    Array.from({ length: 40 }, (_, i) => here.unlock(token, i % 10 ? 'battery staple' : 'correct horse')),
  )
  expect(tally(unlocked.map(({ status }) => status))).toEqual({ 'wrong-password': 36, unlocked: 2, denied: 2 })
})
