import { privateRedis, until } from '@lapse/testkit'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { rootToken, stage } from './stage.ts'

const redis = await privateRedis({ appendonly: true })
const { database, happened, lapse, sql, startApi, startWorker, story } = await stage({ url: redis.url })

const company = async () => {
  const organization = await lapse.organizations.create({ name: 'Acme' })
  const user = await lapse.users.create({ email: `${organization.id}@example.com`, verified: true })
  const { token: session } = await lapse.sessions.issue({ userId: user.id })
  const { invite, token = '' } = await lapse.invites.create({
    ...{ organization: organization.id, email: user.email, role: 'member', deliver: 'return' },
  })
  return { organization, user, session, id: invite.id, token }
}

const post = (url: string, path: string, bearer: string | undefined, body: object = {}) =>
  fetch(`${url}${path}`, {
    method: 'POST',
    headers: { ...(bearer && { authorization: `Bearer ${bearer}` }), 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

/** Holds up whoever writes into `table`, until they are let go or their connection is cut. */
const blocked = async (table: string) => {
  const holder = new pg.Client({ connectionString: database.ownerUrl })
  await holder.connect()
  await holder.query(`BEGIN; LOCK TABLE ${table} IN SHARE MODE`)
  return {
    waiting: () =>
      until(async () => {
        const { rows } = await sql(
          `SELECT FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE relname = $1 AND NOT granted`,
          [table],
        )
        return rows.length > 0
      }),
    release: async () => {
      await holder.query('COMMIT')
      await holder.end()
    },
  }
}

const facts = async (id: string, organizationId: string) => {
  const { rows } = await sql(
    `SELECT (SELECT status FROM resource WHERE id = $1) AS status,
      (SELECT count(*)::int FROM directory_membership WHERE organization_id = $2) AS members,
      (SELECT count(*)::int FROM event WHERE resource_id = $1 AND type = 'consumed') AS uses`,
    [id, organizationId],
  )
  return rows[0]
}

/** Nobody is in a transaction any more: what a killed process had begun is undone. */
const settled = () =>
  until(async () => {
    const { rows } = await sql(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND usename = 'lapse_app' AND state = 'idle in transaction'`,
    )
    return rows.length === 0
  })

describe('the API is killed', () => {
  it.each(['directory_membership', 'event', 'resource'])(
    'I1: in the middle of accepting, before it writes %s: neither membership nor use; then both, once',
    async (table) => {
      const { organization, session, id, token } = await company()
      const first = await startApi()
      const held = await blocked(table)
      const answer = post(first.url, '/v1/invites/accept', session, { token }).catch(() => 'cut')
      await held.waiting()
      await first.kill()
      expect(await answer).toBe('cut')
      await held.release()
      await settled()
      const between = await facts(id, organization.id)
      expect([
        { status: 'active', members: 0, uses: 0 },
        { status: 'consumed', members: 1, uses: 1 },
      ]).toContainEqual(between)

      const second = await startApi()
      try {
        const again = await post(second.url, '/v1/invites/accept', session, { token })
        expect([again.status, ((await again.json()) as { status: string }).status]).toEqual([
          200,
          between.uses === 0 ? 'joined' : 'already-member',
        ])
        expect(await facts(id, organization.id)).toEqual({ status: 'consumed', members: 1, uses: 1 })
      } finally {
        await second.stop()
      }
    },
  )

  it('between the use of a magic link and its session: the link works again', async () => {
    const { user } = await company()
    const { token = '' } = await lapse.verifications.request({
      purpose: 'sign-in',
      email: user.email,
      deliver: 'return',
    })
    const sessions = async () => (await lapse.sessions.list(user.id)).length
    const before = await sessions()
    const first = await startApi()
    const held = await blocked('event')
    const answer = post(first.url, '/v1/sessions', undefined, { token }).catch(() => 'cut')
    await held.waiting()
    await first.kill()
    expect(await answer).toBe('cut')
    await held.release()
    await settled()
    // PostgreSQL finishes a statement whose client has gone, and rolls its transaction back.
    expect([await lapse.verifications.look(token), await sessions()]).toEqual([{ valid: true }, before])
    const second = await startApi()
    try {
      const again = await post(second.url, '/v1/sessions', undefined, { token })
      expect([again.status, await sessions()]).toEqual([201, before + 1])
    } finally {
      await second.stop()
    }
  })
})

it('B8: a session revoked with Redis stopped is denied at both APIs at once; nothing happens at T; a second revoke is quiet', async () => {
  const { organization, user, session, token } = await company()
  const [one, two] = await Promise.all([startApi(), startApi()])
  try {
    const { invite } = await lapse.invites.create({
      ...{ organization: organization.id, email: `late-${user.email}`, role: 'member', deliver: 'return' },
      expiresInMs: 8_000,
    })
    await redis.stop()
    const mine = (url: string) =>
      fetch(`${url}/v1/sessions/current`, { headers: { authorization: `Bearer ${session}` } })
    expect([(await mine(one.url)).status, (await mine(two.url)).status]).toEqual([200, 200])
    const [{ id: sessionId = '' } = {}] = await lapse.sessions.list(user.id)
    const revoke = () => post(one.url, `/v1/sessions/${sessionId}/revoke`, rootToken)
    expect((await revoke()).status).toBe(200)
    expect([(await mine(one.url)).status, (await mine(two.url)).status]).toEqual([401, 401])
    expect(await (await revoke()).json()).toMatchObject({ status: 'revoked' })
    expect((await post(two.url, '/v1/invites/accept', session, { token })).status).toBe(401)

    // And an invite, whose timer is back with a Redis that knows nothing of the revocation.
    expect((await post(one.url, `/v1/invites/${invite.id}/revoke`, rootToken)).status).toBe(200)
    await redis.start()
    const worker = await startWorker()
    const marker = await lapse.issue('pass', {
      expiresAt: new Date(Math.max(invite.expiresAt.getTime(), Date.now()) + 1_500),
    })
    await happened(marker.id, 'expired')
    await worker.stop()
    const types = (await story(invite.id)).map(({ type }) => type)
    expect(types.filter((type) => type !== 'timer-stale')).toEqual(['issued', 'revoked'])
  } finally {
    await Promise.all([one.stop(), two.stop()])
  }
})
