import { fileURLToPath } from 'node:url'
import { startProcess, testDatabase, testRedis, until } from '@lapse/testkit'
import { createLapse } from 'lapse'
import pg from 'pg'
import { expect, it } from 'vitest'
import { main } from '../src/app.ts'

it('an application books a desk and starts a trial; the worker gives the desk back in the same commit and calls the handler', async () => {
  const [database, redis] = [await testDatabase(), testRedis()]
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  await owner.connect()
  const lapse = createLapse({ databaseUrl: database.url, redisUrl: redis.url, prefix: redis.prefix })
  await owner.query('CREATE TABLE office_desk (number int PRIMARY KEY, taken boolean NOT NULL)')
  await owner.query('INSERT INTO office_desk VALUES (7, true), (8, true)')
  await owner.query('GRANT SELECT, UPDATE ON office_desk TO PUBLIC')
  const worker = await startProcess({
    entry: 'worker',
    env: {
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      LAPSE_PREFIX: redis.prefix,
      LAPSE_CONFIG: fileURLToPath(new URL('../src/lapse.config.ts', import.meta.url)),
    },
  })

  const { trial, booking } = await main(database.url, redis.url, redis.prefix)

  const [expired] = await until(async () => {
    const events = await lapse.events({ resourceId: booking.id, type: 'expired' })
    return events.length > 0 && events
  })
  expect(expired).toMatchObject({ trigger: 'job', from: 'active', to: 'expired' })
  expect((await owner.query('SELECT * FROM office_desk ORDER BY number')).rows).toEqual([
    { number: 7, taken: false },
    { number: 8, taken: true },
  ])
  await until(() => /desk 7 is free \([0-9a-f-]{36}\)/.test(worker.output()), { what: 'the handler' })
  expect(await lapse.get(trial.id)).toMatchObject({ status: 'active', version: 2 })
  await Promise.all([worker.stop(), lapse.close(), owner.end()])
})
