import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { apiToken } from '../src/kinds/api-token.ts'
import { httpCall as calls } from '../src/kinds/http-call.ts'
import { verification as verifications } from '../src/kinds/verification.ts'
import { sealedColumns } from '../src/sealed.ts'
import { Secrets } from '../src/secret.ts'
import { day, testDomain } from './support.ts'

const kinds = [apiToken, calls, verifications()]
const { another, sql, ownerUrl, lockWaiters } = await testDomain(kinds)
const [older, newer] = ['an older key, 32 characters long..', 'a newer key, 32 characters long...']
const settle = async () => true

/** One of everything that a key seals or signs. */
const everything = async () => {
  const domain = another(kinds, [older])
  const verbs = domain.ownVerbs(settle)
  const { endpoint } = await verbs.webhookEndpoints.create({ url: 'https://example.com/hook', events: ['issued'] })
  const { httpCall } = await verbs.httpCalls.schedule({ url: 'https://example.com/call', expiresInMs: 30 * day })
  const { verification } = await verbs.verifications.request({
    ...{ purpose: 'confirm-email', email: 'ada@example.com', deliver: 'mail' },
  })
  const { token } = await verbs.apiTokens.create({ name: 'a job', scopes: ['resources:read'], format: 'jwt' })
  return { endpoint, httpCall, verification, token }
}

const { endpoint, httpCall, verification, token } = await everything()
const of = (table: string, column: string, id: string, key = 'id') =>
  sql<{ bytes: Buffer }>(`SELECT ${column} AS bytes FROM ${table} WHERE ${key} = $1`, [id]).then(([row]) => row?.bytes)
const sealed = async () => [
  [endpoint.id, await of('webhook_endpoint', 'sealed', endpoint.id)] as const,
  [httpCall.id, await of('resource', 'enclosed', httpCall.id)] as const,
  [verification.id, await of('delivery', 'sealed', verification.id, 'resource_id')] as const,
]

describe('L3: LAPSE_SECRET is rotated', () => {
  it('every column of bytes is known: what is sealed can be sealed anew, and the rest is no secret', async () => {
    const columns = await sql<{ name: string }>(
      `SELECT table_name || '.' || column_name AS name FROM information_schema.columns
       WHERE table_schema = current_schema() AND data_type = 'bytea' ORDER BY 1`,
    )
    const hashes = ['resource.verifier']
    expect(
      columns
        .map(({ name }) => name)
        .filter((name) => !hashes.includes(name))
        .sort(),
    ).toEqual([...sealedColumns].sort())
  })

  it('a process that has only the new key is refused at boot, and told what lacks it', async () => {
    const { problems } = await another(kinds, [newer]).inspect()
    expect(problems).toEqual([
      expect.stringMatching(/lacks a key that sealed mails that wait and webhook endpoints and calls\b.*new,old/),
    ])
    expect((await another(kinds, []).inspect()).problems).toHaveLength(1)
  })

  it('with both, everything is sealed anew under the first, and the JWT is good', async () => {
    const domain = another(kinds, [newer, older])
    expect((await domain.inspect()).problems).toEqual([])
    expect(await domain.keys.reseal({ batch: 1 })).toEqual({ resealed: 3, unreadable: 0 })
    for (const [id, bytes] of await sealed()) {
      expect(new Secrets([newer]).tryOpen(id, bytes ?? Buffer.alloc(0))).toBeDefined()
      expect(new Secrets([older]).tryOpen(id, bytes ?? Buffer.alloc(0))).toBeUndefined()
    }
    expect(await domain.keys.reseal()).toEqual({ resealed: 0, unreadable: 0 })
    expect(await domain.ownVerbs(settle).apiTokens.verify(token)).toMatchObject({ status: 'valid' })
  })

  it('then nothing that is sealed needs the old key, and what it has signed says until when it is needed', async () => {
    const domain = another(kinds, [newer, older])
    await domain.keys.reseal()
    const uses = await domain.keys.uses()
    expect(uses.filter(({ place }) => place === 1)).toEqual([
      { place: 1, what: 'JWTs and codes that were mailed', until: expect.any(Date) },
    ])
    const [{ ends } = { ends: new Date(0) }] = await sql<{ ends: Date }>(
      `SELECT max(ends_at) AS ends FROM resource WHERE kind = 'api-token'`,
    )
    expect(uses.find(({ until }) => until)?.until?.getTime()).toBeGreaterThanOrEqual(ends.getTime())
    expect((await another(kinds, [newer]).inspect()).problems).toEqual([])
  })

  it('what changes meanwhile is left as it is', async () => {
    await another(kinds, [newer, older]).keys.reseal()
    const changed = new Secrets([older]).seal(endpoint.id, { secret: 'whsec_changed', headers: '{}' })
    const other = new pg.Client({ connectionString: ownerUrl })
    await other.connect()
    try {
      await other.query('BEGIN')
      await other.query('UPDATE webhook_endpoint SET sealed = $2 WHERE id = $1', [endpoint.id, changed])
      const resealing = another(kinds, [older, newer]).keys.reseal()
      resealing.catch(() => {})
      await lockWaiters(1)
      await other.query('COMMIT')
      expect((await resealing).unreadable).toBe(0)
    } finally {
      await other.end()
    }
    expect(await of('webhook_endpoint', 'sealed', endpoint.id)).toEqual(changed)
  })

  it('what was sealed before keys had ids is found and sealed anew too', async () => {
    const bytes = new Secrets([older]).seal(endpoint.id, { secret: 'whsec_old', headers: '{}' })
    bytes[0] = 1
    await sql('UPDATE webhook_endpoint SET sealed = $2 WHERE id = $1', [endpoint.id, bytes])
    expect((await another(kinds, [newer]).inspect()).problems).toHaveLength(1)
    const domain = another(kinds, [newer, older])
    expect((await domain.keys.uses()).some(({ place, what }) => place === 1 && what === 'webhook endpoints')).toBe(true)
    expect((await domain.keys.reseal()).unreadable).toBe(0)
    expect(
      new Secrets([newer]).tryOpen(endpoint.id, (await of('webhook_endpoint', 'sealed', endpoint.id)) ?? bytes),
    ).toBeDefined()
  })
})
