import { nowSql } from '@lapse/testkit'
import { expect, it } from 'vitest'
import { testMachines } from './machines.ts'
import { hour, minute, tally } from './support.ts'

const stage = await testMachines()
const { age, apiTokens, company, created, domain, history, holding, lockWaiters } = stage
const { organizations, sql, verdict } = stage
const { apiTokens: there, organizations: organizationsThere } = stage.elsewhere()

const forty = <T>(act: (at: typeof apiTokens, i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: 40 }, (_, i) => act(i % 2 ? apiTokens : there, i)))
const codeOf = (error: unknown) => (error as { code?: string }).code ?? String(error)
const liveIn = (organizationId: string) => domain.resources.count({ kind: 'api-token', organizationId, live: true })
const successors = async (id: string) =>
  (await sql<{ id: string }>(`SELECT id FROM resource WHERE payload ->> 'rotationOf' = $1`, [id])).map((row) => row.id)

it('40 rotations of one at once: exactly one, and one successor', async () => {
  for (const overlapMs of [0, hour]) {
    const organization = await company()
    const { apiToken: old, token } = await created({ organization: organization.id })
    const codes = await forty((at) => at.rotate(old.id, { overlapMs }).then(() => 'rotated', codeOf))
    expect(tally(codes)).toEqual({ rotated: 1, already_rotated: 39 })
    const made = await successors(old.id)
    expect(made).toHaveLength(1)
    expect(await sql('SELECT successor_id FROM resource WHERE id = $1', [old.id])).toEqual([{ successor_id: made[0] }])
    expect(await verdict(token)).toBe(overlapMs ? 'valid' : 'revoked')
    expect(await history(old.id)).toEqual(['issued', overlapMs ? 'renewed' : 'revoked'])
    expect(await liveIn(organization.id)).toBe(overlapMs ? 2 : 1)
  }
})

it('rotated while it is revoked: what was revoked first has no successor, and the old one has ended either way', async () => {
  for (let round = 0; round < 30; round++) {
    const { apiToken: old } = await created()
    const acts = [
      () => apiTokens.rotate(old.id).then(() => 'rotated', codeOf),
      () => there.revoke(old.id).then(() => ''),
    ]
    const [first = '', second = ''] = await Promise.all((round % 2 ? acts : acts.reverse()).map((act) => act()))
    const outcome = first || second
    expect(['rotated', 'already_ended']).toContain(outcome)
    expect(await successors(old.id)).toHaveLength(outcome === 'rotated' ? 1 : 0)
    expect(await history(old.id)).toEqual(['issued', 'revoked'])
  }
})

it.each([
  ['suspended', 'suspend'],
  ['deleted', 'delete'],
] as const)(
  '40 rotations while their organization is %s: nobody deadlocks, and nothing in it is good after that',
  async (_, act) => {
    const organization = await company()
    const tokens: Awaited<ReturnType<typeof created>>[] = []
    for (let i = 0; i < 40; i++) tokens.push(await created({ organization: organization.id }))
    const [codes] = await Promise.all([
      forty((at, i) => at.rotate(tokens[i]?.apiToken.id ?? '').then(() => 'rotated', codeOf)),
      organizationsThere[act](organization.id),
    ])
    const { rotated = 0, organization_not_active: late = 0 } = tally(codes)
    expect(rotated + late).toBe(40)
    expect(await liveIn(organization.id)).toBe(0)
    const made = (await Promise.all(tokens.map(({ apiToken }) => successors(apiToken.id)))).flat()
    expect(made).toHaveLength(rotated)
    if (act === 'suspend') {
      await organizations.restore(organization.id)
      expect(await liveIn(organization.id)).toBe(40)
    }
  },
)

it('a rotation that waits for the organization holds nothing that its suspension needs', async () => {
  const organization = await company()
  const { apiToken: old } = await created({ organization: organization.id })
  let rotating: Promise<string> | undefined
  await holding(
    organization.id,
    async (holder) => {
      rotating = apiTokens.rotate(old.id).then(() => 'rotated', codeOf)
      await lockWaiters(1)
      await holder.query('SELECT FROM resource WHERE id = $1 FOR UPDATE NOWAIT', [old.id])
    },
    'directory_organization',
  )
  expect(await rotating).toBe('rotated')
})

it('verified 40 times while it is revoked: good before, revoked after, and never good again', async () => {
  for (let round = 0; round < 5; round++) {
    const { token, apiToken: made } = await created()
    let isRevoked = false
    const revoking = there.revoke(made.id).then(() => {
      isRevoked = true
    })
    const verdicts = await forty(async (at) => {
      const after = isRevoked
      return { after, status: (await at.verify(token)).status }
    })
    await revoking
    for (const { after, status } of verdicts) expect(after ? ['revoked'] : ['valid', 'revoked']).toContain(status)
    expect(tally(await forty(async (at) => (await at.verify(token)).status))).toEqual({ revoked: 40 })
  }
})

it('40 verifications at once write down one use', async () => {
  const { token, apiToken: made } = await created()
  await sql(`CREATE TABLE touched (at timestamptz);
    CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO touched VALUES (${nowSql}); RETURN NEW; END $$;
    CREATE TRIGGER touched AFTER UPDATE OF last_used_at ON resource FOR EACH ROW EXECUTE FUNCTION touched();
    GRANT ALL ON touched TO PUBLIC`)
  for (let round = 1; round <= 3; round++) {
    expect(tally(await forty(async (at) => (await at.verify(token)).status))).toEqual({ valid: 40 })
    expect(await sql('SELECT count(*)::int AS n FROM touched')).toEqual([{ n: round }])
    await sql('ALTER TABLE resource DISABLE TRIGGER touched')
    await age(made.id, 2 * minute)
    await sql('ALTER TABLE resource ENABLE TRIGGER touched')
  }
})
