import { expect, it } from 'vitest'
import { plain } from './kinds.ts'
import { day, minute, testDomain } from './support.ts'

const { domain, age } = await testDomain([plain])
const { resources } = domain

it('G2: a batch takes what has waited longest, or what has just become due, so that this need not wait for a burst', async () => {
  const ids: string[] = []
  for (let i = 0; i < 6; i++) {
    const { resource } = await resources.issue({ kind: 'plain' })
    await age(resource.id, 14 * day + (6 - i) * minute)
    ids.push(resource.id)
  }
  const batch = async (latestFirst: boolean) => {
    const { rows } = await domain.advance({ trigger: 'job' }, { limit: 2, latestFirst })
    return rows.map(({ id }) => id).sort()
  }
  expect(await batch(false)).toEqual(ids.slice(0, 2).sort())
  expect(await batch(true)).toEqual(ids.slice(4).sort())
  expect(await batch(true)).toEqual(ids.slice(2, 4).sort())
  expect(await batch(true)).toEqual([])
})
