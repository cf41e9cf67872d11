import { inspect } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, describe, expect, it } from 'vitest'
import { isRefusal, openDatabase } from '../src/database.ts'
import { Prisma, PrismaClient } from '../src/generated/prisma/client.ts'
import { createDomain } from '../src/index.ts'
import { inspectDatabase } from '../src/inspect.ts'
import { plain } from './kinds.ts'
import { day, second, testDomain } from './support.ts'

const { domain, sql, url, ownerUrl } = await testDomain([plain])

/** A client as one gets it without `openDatabase`. */
const inZone = (zone: string) => {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, options: `-c timezone=${zone}` }) })
  afterAll(() => prisma.$disconnect())
  return prisma
}

describe('instants', () => {
  it.each(['Asia/Kolkata', 'America/New_York', 'UTC+1'])('the boot check refuses sessions in %s', async (zone) => {
    const { problems } = await inspectDatabase(inZone(zone))
    expect(problems).toEqual([expect.stringContaining("SET TimeZone = 'UTC'")])
  })

  it('are right in such a database too, for every connection of ours is in UTC', async () => {
    const name = new URL(url).pathname.slice(1)
    await sql(`ALTER DATABASE ${name} SET timezone = 'Asia/Kolkata'`)
    const address = new URL(url)
    address.searchParams.set('options', '-c timezone=Asia/Kolkata')
    const stubborn = createDomain({ url: address.href, kinds: [plain] })
    afterAll(() => stubborn.close())
    expect((await stubborn.inspect()).problems).toEqual([])
    const expiresAt = new Date('2026-01-01T00:00:00.123Z')
    expiresAt.setTime(Date.now() + day - (Date.now() % second) + 123)
    const { resource } = await stubborn.resources.issue({ kind: 'plain', expiresAt })
    expect(resource.expiresAt).toEqual(expiresAt)
    const [row] = await sql<{ ms: number }>(
      'SELECT (extract(epoch FROM expires_at) * 1000)::float8 AS ms FROM resource WHERE id = $1',
      [resource.id],
    )
    expect(row?.ms).toBe(expiresAt.getTime())
    expect((await stubborn.resources.get(resource.id)).expiresAt).toEqual(expiresAt)
    await sql(`ALTER DATABASE ${name} RESET timezone`)
  })

  it('C2: are read from the database’s clock, to the millisecond', async () => {
    const [before, seen, after] = [await domain.clock(), await domain.clock(), await domain.clock()]
    expect(before.getTime()).toBeLessThanOrEqual(seen.getTime())
    expect(seen.getTime()).toBeLessThanOrEqual(after.getTime())
    expect(Math.abs(await domain.clockSkew())).toBeLessThan(5 * second)
  })
})

describe('an error', () => {
  it('tells nothing of the row that it is about: neither of a statement alone nor of one in a transaction', async () => {
    const { resource } = await domain.resources.issue({ kind: 'plain', reference: 'entrusted to us' })
    const database = openDatabase({ url })
    afterAll(database.close)
    const wrong = Prisma.sql`UPDATE resource SET uses = -1 WHERE id = ${resource.id}::uuid`
    for (const run of [() => database.$executeRaw(wrong), () => database.transaction((tx) => tx.$executeRaw(wrong))]) {
      const error = await run().catch((error) => error)
      expect(isRefusal(error)).toBe(true)
      expect(inspect(error, { depth: null, showHidden: true })).not.toContain('entrusted to us')
    }
  })
})

describe('the boot check', () => {
  it('finds nothing wrong with a migrated database, and warns of a role that owns the audit', async () => {
    expect(await domain.inspect()).toMatchObject({ problems: [], warnings: [] })
    const owner = openDatabase({ url: ownerUrl })
    afterAll(owner.close)
    expect(await inspectDatabase(owner)).toMatchObject({
      problems: [],
      warnings: [expect.stringContaining('owns the audit table')],
    })
  })

  it('warns where sessions have no limit for statements and for the wait for a lock, as behind a pooler that passes no options on', async () => {
    const bare = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, options: '-c timezone=UTC' }) })
    afterAll(() => bare.$disconnect())
    expect((await inspectDatabase(bare)).warnings).toEqual([
      expect.stringMatching(/lock_timeout.*ALTER ROLE/),
      expect.stringMatching(/statement_timeout.*ALTER ROLE/),
    ])
  })

  it('names the migration that is missing, and what to do', async () => {
    const address = new URL(ownerUrl)
    await sql('CREATE SCHEMA empty')
    address.searchParams.set('options', '-c search_path=empty')
    const bare = openDatabase({ url: address.href })
    afterAll(bare.close)
    const { problems } = await inspectDatabase(bare)
    expect(problems).toEqual([expect.stringMatching(/lacks the migration .*npm run migrate deploy/)])
  })

  it('finds the database again after every connection was cut', async () => {
    await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`)
    await domain.clock().catch(() => {})
    expect(await domain.inspect()).toMatchObject({ problems: [] })
  })
})

describe('a transaction', () => {
  const begin = <T extends object>(key: string, act: () => Promise<T>) =>
    domain.once({ owner: 'me', key, fingerprint: '' }, act)

  it('asks for no second connection, which ten of them could not all have: in tests that is an error', async () => {
    const asking = { statement: () => domain.clock(), transaction: () => begin('inner', async () => ({})) }
    for (const [name, ask] of Object.entries(asking))
      await expect(begin(name, async () => ({ at: await ask() }))).rejects.toThrow('A second connection is asked for')
  })

  it('is over for what goes on after it', async () => {
    const later: Promise<Date>[] = []
    await begin('over', async () => {
      later.push(new Promise((resolve) => setTimeout(resolve, 0)).then(() => over).then(() => domain.clock()))
      return {}
    }).finally(() => end())
    expect(await Promise.all(later)).toHaveLength(1)
  })
  let end = () => {}
  const over = new Promise<void>((resolve) => {
    end = resolve
  })
})
