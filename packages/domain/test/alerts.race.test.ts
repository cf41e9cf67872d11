import { afterAll, expect, it } from 'vitest'
import { createDomain } from '../src/index.ts'
import { plain } from './kinds.ts'
import { testDomain } from './support.ts'

const { url, sql } = await testDomain([plain])
const operatorEmail = 'ops@example.com'
const watchers = Array.from({ length: 8 }, () => createDomain({ url, kinds: [plain], operatorEmail, connections: 5 }))
afterAll(() => Promise.all(watchers.map((watcher) => watcher.close())))

/** Eight processes, each with five looks at once. */
const watchAll = () => Promise.all(Array.from({ length: 40 }, (_, i) => watchers[i % 8]?.alerts.watch()))
const told = () => sql(`SELECT event, count(*)::int AS count FROM delivery GROUP BY 1 ORDER BY 1`)

it('of many who watch at once one tells, that it is raised and that it is over', async () => {
  await sql(`INSERT INTO pulse VALUES ('sweep', now() - interval '1 hour')`)
  const owed = await watchAll()
  expect(owed.flat()).toHaveLength(1)
  expect(await told()).toEqual([{ event: 'lapse.alert.raised', count: 1 }])
  await watchers[0]?.alerts.markSwept()
  await sql(`UPDATE alert SET seen_at = seen_at - interval '6 minutes'`)
  await watchAll()
  expect(await told()).toEqual([
    { event: 'lapse.alert.cleared', count: 1 },
    { event: 'lapse.alert.raised', count: 1 },
  ])
})
