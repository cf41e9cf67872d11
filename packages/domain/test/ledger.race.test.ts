import { nowSql } from '@lapse/testkit'
import { expect, it } from 'vitest'
import { membership } from './kinds.ts'
import { tally, testDomain } from './support.ts'

const { domain, another, sql } = await testDomain([membership])

it('of 40 who retry what is dead at once, each delivery is retried by one', async () => {
  const { resource } = await domain.resources.issue({ kind: 'membership' })
  await sql(
    `INSERT INTO delivery (resource_id, kind, version, event, event_id, channel, target, status, settled_at, created_at)
     SELECT $1, 'membership', i, 'renewed', 1, 'email', 'a@example.com', 'dead', ${nowSql}, ${nowSql} FROM generate_series(1, 4000) i`,
    [resource.id],
  )
  const processes = [domain, another([membership]), another([membership]), another([membership])]
  const all = async (process: typeof domain) => {
    const retried: string[] = []
    for (let after: string | undefined; ; ) {
      const batch = await process.deliveries.retryDead({}, { after, limit: 100 })
      retried.push(...batch.deliveries.map(({ id }) => id))
      if (batch.after === null) return retried
      after = batch.after
    }
  }
  const results = await Promise.all(Array.from({ length: 40 }, (_, i) => all(processes[i % 4] ?? domain)))
  const rest = await all(domain)
  const times = tally([...results.flat(), ...rest])
  expect([Object.keys(times).length, Math.max(...Object.values(times))]).toEqual([4_000, 1])
  expect(await sql('SELECT round, count(*)::int AS count FROM delivery GROUP BY 1')).toEqual([
    { round: 1, count: 4_000 },
  ])
})
