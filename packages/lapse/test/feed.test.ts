import { nowSql, testDatabase, testRedis, until } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, expect, it } from 'vitest'
import { z } from 'zod'
import { createLapse, defineKind } from '../src/index.ts'

const letter = () => ({ subject: 'It has ended', lines: ['It has ended.'] })
const told = defineKind({
  name: 'told',
  payload: z.strictObject({ email: z.string() }),
  lifetime: { max: '1d' },
  reminders: ['1h'],
  contact: ({ payload }) => payload.email,
  mail: { expired: letter, reminded: letter },
  spread: '10m',
})

const database = await testDatabase()
const owner = new pg.Client({ connectionString: database.ownerUrl })
await owner.connect()
afterAll(() => owner.end())

const full = 60

const open = async () => {
  const { url: redisUrl, prefix } = testRedis()
  const lapse = createLapse({ databaseUrl: database.url, redisUrl, prefix, kinds: [told] })
  afterAll(() => lapse.close())
  await until(() => lapse.queues.redis.status === 'ready', { what: 'the connection to Redis' })
  await owner.query('DELETE FROM resource')
  const engine = lapse.engine({ onError: () => {}, full: { email: full } })
  const { email } = lapse.queues
  const issue = (count: number) =>
    lapse.issueAll(
      Array.from({ length: count }, () => ({ kind: 'told', payload: { email: 'a@example.com' }, expiresIn: '2h' })),
    )
  const age = (minutes: number) =>
    owner.query(
      `UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s, due_at = due_at - s
       FROM (SELECT $1::int * interval '1 minute' AS s) AS shift WHERE status = 'active'`,
      [minutes],
    )
  /** Whoever sends has taken half of what may wait, and settled it. */
  const drain = async () => {
    const jobs = await email.getJobs(['waiting'], 0, full / 2 - 1)
    await owner.query(
      `UPDATE delivery SET status = 'sent', settled_at = ${nowSql}, next_attempt_at = NULL WHERE id = ANY ($1::uuid[])`,
      [jobs.map((job) => job.data.delivery)],
    )
    await Promise.all(jobs.map((job) => job.remove()))
    return jobs.map((job) => job.data.delivery as string)
  }
  return { lapse, engine, email, issue, age, drain }
}

it('G1 a burst fills the mails’ queue only so far; the sweep feeds it until every mail was there once', async () => {
  const { lapse, engine, email, issue, age, drain } = await open()
  await issue(200)
  await age(180)
  await engine.sweep()
  await until(async () => (await email.getWaitingCount()) === full, { what: 'as many as there is room for' })
  await engine.feed()
  expect(await email.getWaitingCount()).toBe(full)
  const sent: string[] = []
  while ((await email.getWaitingCount()) > 0) {
    sent.push(...(await drain()))
    await engine.sweep()
    expect(await email.getWaitingCount()).toBe(Math.min(full, 200 - sent.length))
  }
  const deliveries = await lapse.deliveries.list({ kind: 'told', event: 'expired' }, { limit: 200 })
  expect(sent.sort()).toEqual(deliveries.map(({ id }) => id).sort())
  expect(sent).toHaveLength(200)
})

it('mails that are spread wait for their time, and leave the room to those that are due', async () => {
  const { engine, email, issue, age } = await open()
  await issue(200)
  await age(61)
  await engine.sweep()
  await until(async () => (await email.getDelayedCount()) >= 150, { what: 'those that wait for their time' })
  expect(await email.getWaitingCount()).toBeLessThanOrEqual(full)
  await issue(200)
  await age(180)
  await engine.sweep()
  await until(async () => (await email.getWaitingCount()) >= full, { what: 'those that are due' })
})
