import {
  acceptWrites,
  askRedis,
  privateRedis,
  refusals,
  refuseWrites,
  startProcess,
  testDatabase,
  testInbox,
  testRedis,
  until,
} from '@lapse/testkit'
import { Redis } from 'ioredis'
import { createTransport } from 'nodemailer'
import pg from 'pg'
import { describe, expect, it } from 'vitest'

const query = async (url: string, sql: string) => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await client.query(sql)
  } finally {
    await client.end()
  }
}

const get = async (url: string, key: string) => {
  const client = new Redis(url, { retryStrategy: () => null, maxRetriesPerRequest: 0, commandTimeout: 300 })
  client.on('error', () => {})
  try {
    return await client.get(key)
  } finally {
    client.disconnect()
  }
}

describe('testDatabase', () => {
  it('is migrated, empty, in UTC, and one of its own for every call', async () => {
    const [one, other] = await Promise.all([testDatabase(), testDatabase()])
    await query(one.ownerUrl, 'CREATE TABLE mine (id int)')
    await expect(query(other.ownerUrl, 'SELECT FROM mine')).rejects.toThrow('does not exist')
    expect((await query(one.url, 'SELECT count(*)::int FROM resource')).rows).toEqual([{ count: 0 }])
    expect((await query(one.url, 'SHOW timezone')).rows).toEqual([{ TimeZone: 'UTC' }])
  })

  it('gives the application a role that may neither change events nor the schema', async () => {
    const { url } = await testDatabase()
    await expect(query(url, 'DELETE FROM event')).rejects.toThrow('permission denied')
    await expect(query(url, 'CREATE TABLE mine (id int)')).rejects.toThrow('permission denied')
  })
})

describe('redis', () => {
  it('shared: a prefix of its own for every call', () => {
    expect(testRedis().url).toMatch(/^redis:/)
    expect(testRedis().prefix).not.toBe(testRedis().prefix)
  })

  it('private: stops, starts on the same port with its data, freezes and is flushed', async () => {
    const redis = await privateRedis({ appendonly: true, settings: { appendfsync: 'always' } })
    const client = new Redis(redis.url)
    client.on('error', () => {})
    await client.set('key', 'value')
    client.disconnect()
    await redis.kill()
    await expect(get(redis.url, 'key')).rejects.toThrow()
    await redis.start()
    expect(await get(redis.url, 'key')).toBe('value')
    redis.pause()
    await expect(get(redis.url, 'key')).rejects.toThrow()
    redis.resume()
    expect(await get(redis.url, 'key')).toBe('value')
    await redis.flush()
    expect(await get(redis.url, 'key')).toBeNull()
    await redis.stop()
    await expect(get(redis.url, 'key')).rejects.toThrow()
  })

  it.each(refusals)('private: %s refuses writes, answers reads, and ends with its data as it was', async (refusal) => {
    const { url } = await privateRedis()
    const set = (value: string) => askRedis(url, (client) => client.set('key', value))
    await set('before')
    await refuseWrites(url, refusal)
    await expect(set('meanwhile')).rejects.toThrow(new RegExp(`^${refusal}`))
    expect(await get(url, 'key')).toBe('before')
    await acceptWrites(url, refusal)
    await set('after')
  })
})

it('testInbox keeps mails, refuses when told to, and waits', async () => {
  const inbox = await testInbox()
  const transport = createTransport(inbox.url)
  const mail = { from: 'a@example.com', to: 'b@example.com', subject: 'Grüße', text: 'one', html: '<b>one</b>' }
  inbox.failNext(1)
  await expect(transport.sendMail(mail)).rejects.toMatchObject({ responseCode: 451 })
  const arrival = inbox.waitForMail((arrived) => arrived.to.includes('b@example.com'))
  await transport.sendMail({ ...mail, headers: { 'X-Lapse': 'yes' } })
  expect(await arrival).toMatchObject({ from: 'a@example.com', subject: 'Grüße', html: '<b>one</b>\n' })
  expect(inbox.mails[0]?.headers['x-lapse']).toBe('yes')
})

it('until says what it waited for and what it saw', async () => {
  await expect(until(() => 0, { timeout: 30, what: 'one' })).rejects.toThrow('one did not come about within 30 ms')
  const failing = () => {
    throw new Error('too early')
  }
  await expect(until(failing, { timeout: 30 })).rejects.toThrow('last seen: too early')
})

it('startProcess shows what a process said that did not start', async () => {
  await expect(startProcess({ entry: 'worker', env: {} })).rejects.toThrow('DATABASE_URL')
})
