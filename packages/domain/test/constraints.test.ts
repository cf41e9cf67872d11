import { readdirSync } from 'node:fs'
import { nowSql } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { schemaVersion } from '../src/index.ts'
import { plain } from './kinds.ts'
import { testDomain } from './support.ts'

const { domain, sql, url } = await testDomain([plain])
const { resource } = await domain.resources.issue({ kind: 'plain', reference: 'held' })
const application = new pg.Client({ connectionString: url })
await application.connect()
afterAll(() => application.end())

const set = (assignment: string) => sql(`UPDATE resource SET ${assignment} WHERE id = $1`, [resource.id])

describe('a status and its instants always tell the same story, whatever the code does', () => {
  it.each([
    ['an end without an ended status', `ended_at = ${nowSql}`, 'resource_ended'],
    ['an ended status without its end', "status = 'revoked', next_step = 'purge'", 'resource_ended'],
    ['a step without its instant', 'due_at = NULL', 'resource_due'],
    ['a live row with nothing due', 'due_at = NULL, next_step = NULL', 'resource_step'],
    ['an active row in its grace step', "next_step = 'end-grace'", 'resource_step'],
    ['an active row waiting to be purged', "next_step = 'purge'", 'resource_step'],
    ['a grace row waiting to expire', "status = 'grace'", 'resource_step'],
    ['an ended row waiting to expire', `status = 'expired', ended_at = ${nowSql}`, 'resource_step'],
    ['an end before the expiry', "ends_at = expires_at - interval '1 millisecond'", 'resource_instants'],
    ['an expiry before the issue', "issued_at = expires_at + interval '1 millisecond'", 'resource_instants'],
    ['more uses than allowed', 'uses = 2', 'resource_uses'],
    ['fewer uses than none', 'uses = -1', 'resource_uses'],
    ['no version', 'version = 0', 'resource_version'],
    [
      'a stored suspension',
      `status = 'suspended', ended_at = ${nowSql}, next_step = 'purge'`,
      'resource_stored_status',
    ],
    ['a sixth wrong code', 'attempts = 6', 'resource_attempts'],
    ['fewer wrong codes than none', 'attempts = -1', 'resource_attempts'],
    ['a selector that finds what nothing proves', "selector = 'abc'", 'resource_selector_verifier'],
  ])('refuses %s', async (_, assignment, constraint) => {
    await expect(set(assignment)).rejects.toMatchObject({ code: '23514', constraint })
  })

  it.each(['expires_at', 'ends_at', 'issued_at'])('%s is never without a value', async (column) => {
    await expect(set(`${column} = NULL`)).rejects.toMatchObject({ code: '23502', column })
  })

  it('refuses two with the same selector', async () => {
    const { resource: other } = await domain.resources.issue({ kind: 'plain' })
    const prove = (id: string) => sql(`UPDATE resource SET selector = 'found', verifier = '\\x00' WHERE id = $1`, [id])
    await prove(other.id)
    await expect(prove(resource.id)).rejects.toMatchObject({ code: '23505', constraint: 'resource_selector' })
    await sql('DELETE FROM resource WHERE id = $1', [other.id])
  })

  it('refuses a second live holder of a reference', async () => {
    const copy =
      sql(`INSERT INTO resource (id, kind, reference, issued_at, expires_at, ends_at, due_at, next_step, changed_at)
      SELECT gen_random_uuid(), kind, reference, issued_at, expires_at, ends_at, due_at, next_step, changed_at FROM resource`)
    await expect(copy).rejects.toMatchObject({ code: '23505', constraint: 'resource_reference_holder' })
  })
})

describe('the directory', async () => {
  const [organization] = await sql<{ id: string }>(
    `INSERT INTO directory_organization (name, created_at, changed_at) VALUES ('Acme', ${nowSql}, ${nowSql}) RETURNING id`,
  )
  const addUser = (canonical: string) =>
    sql<{ id: string }>(
      `INSERT INTO directory_user (email, canonical, created_at, changed_at) VALUES ($1, $1, ${nowSql}, ${nowSql}) RETURNING id`,
      [canonical],
    )
  const [user] = await addUser('ada@example.com')
  const join = (organizationId: unknown, userId: unknown) =>
    sql(
      `INSERT INTO directory_membership (organization_id, user_id, role, joined_at) VALUES ($1, $2, 'member', ${nowSql})`,
      [organizationId, userId],
    )
  await join(organization?.id, user?.id)
  const nobody = '00000000-0000-0000-0000-000000000000'

  it.each([
    [
      'fewer seats than none',
      () => sql('UPDATE directory_organization SET seat_limit = -1'),
      'directory_organization_seats',
    ],
    ['upper case to compare with', () => addUser('Bob@example.com'), 'directory_user_canonical'],
  ])('refuses %s', async (_, act, constraint) => {
    await expect(act()).rejects.toMatchObject({ code: '23514', constraint })
  })

  it('refuses two users with one address, and two memberships of one user', async () => {
    await expect(addUser('ada@example.com')).rejects.toMatchObject({ constraint: 'directory_user_canonical_key' })
    await expect(join(organization?.id, user?.id)).rejects.toMatchObject({
      constraint: 'directory_membership_organization_id_user_id_key',
    })
  })

  it('keeps whom others belong to', async () => {
    await expect(join(nobody, user?.id)).rejects.toMatchObject({ code: '23503' })
    await expect(join(organization?.id, nobody)).rejects.toMatchObject({ code: '23503' })
    await expect(sql('DELETE FROM directory_user')).rejects.toMatchObject({ code: expect.stringMatching(/^2300[13]$/) })
    await set(`organization_id = '${organization?.id}'`)
    await sql('DELETE FROM directory_membership')
    const removal = sql('DELETE FROM directory_organization')
    await expect(removal).rejects.toMatchObject({ code: expect.stringMatching(/^2300[13]$/) })
  })
})

describe('events', () => {
  const insert = (type: string) =>
    sql(
      `INSERT INTO event (resource_id, kind, type, version, at, trigger) VALUES ($1, 'plain', $2, 1, ${nowSql}, 'manual')`,
      [resource.id, type],
    )

  it('at most one end for a resource, and any number of anything else', async () => {
    await insert('expired')
    for (const end of ['expired', 'revoked', 'consumed'])
      await expect(insert(end)).rejects.toMatchObject({ code: '23505', constraint: 'event_end' })
    await insert('used')
    await insert('used')
  })

  it.each([`UPDATE event SET actor = 'nobody'`, 'DELETE FROM event', 'TRUNCATE event'])(
    'J1: neither the owner nor the application can do: %s',
    async (statement) => {
      const before = await sql('SELECT * FROM event ORDER BY id')
      await expect(sql(statement)).rejects.toMatchObject({
        code: '42501',
        message: expect.stringContaining('append-only'),
      })
      await expect(application.query(statement)).rejects.toMatchObject({ code: '42501' })
      expect(await sql('SELECT * FROM event ORDER BY id')).toEqual(before)
    },
  )

  it.each(['DROP TRIGGER event_append_only ON event', 'ALTER TABLE event DISABLE TRIGGER ALL', 'DROP TABLE event'])(
    'J1: the application cannot take the protection away: %s',
    async (statement) => {
      await expect(application.query(statement)).rejects.toMatchObject({ code: '42501' })
    },
  )

  it('J1: the application can add to them, and not to the migrations', async () => {
    await application.query(`INSERT INTO event (resource_id, kind, type, version, at, trigger)
      VALUES (gen_random_uuid(), 'plain', 'noted', 1, ${nowSql}, 'manual')`)
    await expect(application.query('DELETE FROM _prisma_migrations')).rejects.toMatchObject({ code: '42501' })
  })
})

describe('the ledger', async () => {
  const [issued] = await sql<{ id: string }>('SELECT id FROM event WHERE resource_id = $1', [resource.id])
  const owe = (event: string, channel: string) =>
    sql(
      `INSERT INTO delivery (resource_id, kind, version, event, event_id, channel, target, next_attempt_at, created_at)
      VALUES ($1, 'plain', 1, $2, $3, $4::lapse_channel, 'somebody', ${nowSql}, ${nowSql})`,
      [resource.id, event, issued?.id, channel],
    )

  it('refuses to owe one side effect twice to one target', async () => {
    await owe('issued', 'email')
    await owe('issued', 'handler')
    await expect(owe('issued', 'email')).rejects.toMatchObject({
      code: '23505',
      constraint: 'delivery_resource_id_version_event_channel_target_key',
    })
  })

  it('refuses a second webhook of one event to one endpoint, under whatever name', async () => {
    await owe('issued', 'webhook')
    await expect(owe('issued:#1', 'webhook')).rejects.toMatchObject({ code: '23505', constraint: 'delivery_webhook' })
  })
})

it('schemaVersion is the newest migration', () => {
  const folders = readdirSync(new URL('../../../prisma/migrations', import.meta.url), { withFileTypes: true })
  expect(schemaVersion).toBe(
    folders
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort()
      .at(-1),
  )
})
