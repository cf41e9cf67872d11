import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { PrismaClient } from '../src/generated/prisma/client.ts'
import { createDomain } from '../src/index.ts'
import { inspectDatabase } from '../src/inspect.ts'
import { plain } from './kinds.ts'
import { day, minute, testDomain } from './support.ts'

const { sql, url } = await testDomain([plain])
const name = new URL(url).pathname.slice(1)
const role = new URL(url).username
/** A role sets its own; the database is its owner's. */
const asApplication = new pg.Client({ connectionString: url })
await asApplication.connect()
afterAll(() => asApplication.end())
const statement = (whose: string, text: string) => (whose.startsWith('ROLE') ? asApplication.query(text) : sql(text))

const wrong: Record<string, string> = {
  DateStyle: `'German'`,
  IntervalStyle: `'iso_8601'`,
  TimeZone: `'Asia/Kolkata'`,
  bytea_output: `'escape'`,
  extra_float_digits: '-15',
  array_nulls: 'off',
  standard_conforming_strings: 'off',
  transform_null_equals: 'on',
  default_transaction_isolation: `'serializable'`,
  default_transaction_read_only: 'on',
  default_transaction_deferrable: 'on',
  lock_timeout: `'1ms'`,
  search_path: 'pg_catalog',
  plan_cache_mode: `'force_custom_plan'`,
}

/** Whatever a new connection of the owner's begins with. */
const reset = (whose: string, setting: string) =>
  statement(whose, `BEGIN READ WRITE; ALTER ${whose} RESET ${setting}; COMMIT`)

/** A short life, with whatever is read of it. */
const live = async (reference: string) => {
  const domain = createDomain({ url, kinds: [plain] })
  afterAll(() => domain.close())
  const { problems, warnings } = await domain.inspect()
  const expiresAt = new Date(Math.floor(Date.now() / 1_000) * 1_000 + day + 123)
  const { resource } = await domain.resources.issue({ kind: 'plain', reference, expiresAt })
  const { resource: renewed } = await domain.resources.renew('plain', resource.id, {
    expiresAt: new Date(expiresAt.getTime() + minute),
  })
  const { resource: revoked } = await domain.resources.revoke('plain', resource.id)
  return {
    ...{ problems, warnings },
    ends: [resource.expiresAt, renewed.expiresAt, (await domain.resources.get(resource.id)).expiresAt],
    status: revoked.status,
    expected: [expiresAt, new Date(expiresAt.getTime() + minute), new Date(expiresAt.getTime() + minute)],
  }
}

describe('L2: a setting of the role or of the database', () => {
  it.each(Object.keys(wrong))('%s changes nothing: each session of ours has its own', async (setting) => {
    for (const whose of [`DATABASE ${name}`, `ROLE ${role} IN DATABASE ${name}`]) {
      await statement(whose, `ALTER ${whose} SET ${setting} = ${wrong[setting]}`)
      try {
        const { problems, warnings, ends, status, expected } = await live(`${setting} of ${whose}`)
        expect({ problems, warnings, ends, status }).toEqual({
          problems: [],
          warnings: [],
          ends: expected,
          status: 'revoked',
        })
      } finally {
        await reset(whose, setting)
      }
    }
  })
})

describe('behind a pooler that passes no options on', () => {
  /** A client as one gets it without `openDatabase`. */
  const bare = async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) })
    try {
      return await inspectDatabase(prisma)
    } finally {
      await prisma.$disconnect()
    }
  }

  it.each(
    Object.keys(wrong).filter((setting) => !['search_path', 'lock_timeout', 'plan_cache_mode'].includes(setting)),
  )('the boot check names the setting %s, and what to do', async (setting) => {
    await sql(`ALTER DATABASE ${name} SET ${setting} = ${wrong[setting]}`)
    try {
      const { problems } = await bare()
      expect(problems).toContainEqual(expect.stringMatching(new RegExp(`run with ${setting} = .* ALTER ROLE`)))
    } finally {
      await reset(`DATABASE ${name}`, setting)
    }
  })
})

describe('an application with parsers of its own', () => {
  it('is refused at boot where they read our answers as something else', async () => {
    const instants = 1184
    const usual = pg.types.getTypeParser(instants)
    pg.types.setTypeParser(instants, (text) => `at ${text}`)
    const domain = createDomain({ url, kinds: [plain] })
    afterAll(() => domain.close())
    try {
      expect((await domain.inspect()).problems).toContainEqual(expect.stringContaining('an instant comes back'))
    } finally {
      pg.types.setTypeParser(instants, usual)
    }
  })
})
