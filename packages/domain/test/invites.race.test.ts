import { expect, it } from 'vitest'
import { testPeople } from './people.ts'
import { tally } from './support.ts'

const stage = await testPeople()
const { company, domain, fresh, history, holding, invited, invites, lockWaiters, mailed, memberships } = stage
const { organizations, person, sql, statusOf } = stage
const other = stage.elsewhere()
const forty = <T>(act: (at: typeof invites, i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: 40 }, (_, i) => act(i % 2 ? invites : other.invites, i)))
const codeOf = (error: unknown) => (error as { code: string }).code
const members = async (organizationId: string) => (await memberships.list({ organization: organizationId })).length

it('I1: one invite accepted 40 times at once by one user, and by another: one membership and one use', async () => {
  for (let round = 0; round < 3; round++) {
    const { organization } = await company()
    const [user, stranger] = [await person(), await person()]
    const { id, token } = await invited(organization.id, user.email)
    const answers = await forty((at, i) => at.accept({ token }, i % 4 === 3 ? stranger : user))
    const { joined, 'already-member': already } = tally(answers.map(({ status }) => status))
    expect({ joined, already }).toEqual({ joined: 1, already: 29 })
    expect(await members(organization.id)).toBe(2)
    expect((await history(id)).filter((type) => type === 'consumed')).toHaveLength(1)
  }
})

it('I2: the last seat and 40 invites at once: one membership; the others are unburned', async () => {
  const { organization } = await company({ seatLimit: 2 })
  const users = await Promise.all(Array.from({ length: 40 }, () => person()))
  const sent: Awaited<ReturnType<typeof invited>>[] = []
  for (const user of users) sent.push(await invited(organization.id, user.email))
  const answers = await forty((at, i) => at.accept(sent[i] ?? { token: '' }, users[i] as (typeof users)[number]))
  expect(tally(answers.map(({ status }) => status))).toEqual({ joined: 1, full: 39 })
  expect(await members(organization.id)).toBe(2)
  const statuses = await Promise.all(sent.map(({ id }) => statusOf(id)))
  expect(tally(statuses)).toEqual({ consumed: 1, active: 39 })
})

it('40 invites to one address at once: one is live', async () => {
  const { organization } = await company()
  const email = fresh()
  const codes = await forty((at) =>
    at.create({ organization: organization.id, email, role: 'member', deliver: 'return' }).then(() => 'made', codeOf),
  )
  expect(tally(codes)).toEqual({ made: 1, invite_live: 39 })
})

it('I7: 40 who send it again at once: one new invite, one live', async () => {
  const { organization } = await company()
  const { id } = await invited(organization.id, fresh())
  const codes = await forty((at) => at.resend(id).then(() => 'made', codeOf))
  expect(tally(codes)).toEqual({ made: 1, already_ended: 39 })
  expect(await domain.resources.count({ kind: 'invite', organizationId: organization.id, live: true })).toBe(1)
})

it('accepted while it is sent again, withdrawn, or its organization deleted: joined, or denied; never both', async () => {
  const ends = {
    resend: async (id: string) => void (await other.invites.resend(id).catch(() => {})),
    revoke: async (id: string) => void (await other.invites.revoke(id)),
    delete: async (_: string, organization: string) => void (await other.organizations.delete(organization)),
  }
  for (const [name, end] of Object.entries(ends))
    for (let round = 0; round < 15; round++) {
      const { organization } = await company()
      const user = await person()
      const { id, token } = await invited(organization.id, user.email)
      const acts = [() => invites.accept({ token }, user), () => end(id, organization.id)] as const
      const order = round % 2 ? acts : ([acts[1], acts[0]] as const)
      await Promise.all(order.map((act) => act()))
      const joined = (await history(id)).includes('consumed')
      const isMember = (await memberships.find(organization.id, user.id)) !== undefined
      expect([name, isMember]).toEqual([name, name === 'delete' ? false : joined])
      expect(await statusOf(id)).toBe(joined ? 'consumed' : 'revoked')
    }
})

it('one that waits for the organization while its own time runs out is denied', async () => {
  const { organization } = await company()
  const user = await person()
  const { id, token } = await invited(organization.id, user.email)
  const accepting = holding(id, async (holder) => {
    const answer = invites.accept({ token }, user)
    await lockWaiters(1)
    await holder.query(
      `UPDATE resource SET issued_at = issued_at - s, due_at = due_at - s, expires_at = expires_at - s, ends_at = ends_at - s
        FROM (SELECT interval '73 hours' AS s) AS shift WHERE id = $1`,
      [id],
    )
    pending = answer
  })
  let pending: ReturnType<typeof invites.accept> | undefined
  await accepting
  expect(await pending).toEqual({ status: 'denied' })
  expect(await memberships.find(organization.id, user.id)).toBeUndefined()
})

it('a new one asked for 40 times at once: the inviter gets one mail', async () => {
  const { organization, owner } = await company()
  const { id, token } = await mailed(organization.id, fresh(), 'member', owner.id)
  await invites.revoke(id)
  await forty((at) => at.requestNew(token))
  expect(await history(id)).toEqual(['issued', 'revoked', 'requested'])
  const mails = (await domain.deliveries.list({ resourceId: id })).filter(({ event }) => event === 'requested')
  expect(mails).toHaveLength(1)
})

it('an inviter who loses the role while inviting: no invite above the new role is left', async () => {
  for (let round = 0; round < 15; round++) {
    const { organization } = await company()
    const admin = await person()
    const { id } = await memberships.add({ organization: organization.id, user: admin.id, role: 'admin' })
    const inviting = () => invited(organization.id, fresh(), 'admin', admin.id).catch(codeOf)
    const acts = [inviting, () => other.memberships.setRole(id, 'member'), inviting]
    await Promise.all((round % 2 ? acts : acts.reverse()).map((act) => act()))
    expect(await domain.resources.count({ kind: 'invite', organizationId: organization.id, live: true })).toBe(0)
  }
})

it('suspending while 40 accept: who joined had joined before, and nobody after', async () => {
  const { organization } = await company()
  const users = await Promise.all(Array.from({ length: 40 }, () => person()))
  const sent: Awaited<ReturnType<typeof invited>>[] = []
  for (const user of users) sent.push(await invited(organization.id, user.email))
  const [answers] = await Promise.all([
    forty((at, i) => at.accept(sent[i] ?? { token: '' }, users[i] as (typeof users)[number])),
    organizations.suspend(organization.id),
  ])
  const { joined = 0, denied = 0 } = tally(answers.map(({ status }) => status))
  expect(joined + denied).toBe(40)
  expect(await members(organization.id)).toBe(1 + joined)
  const [{ late } = { late: -1 }] = await sql<{ late: number }>(
    `SELECT count(*)::int AS late FROM event e WHERE type = 'consumed' AND resource_id = ANY ($1)
      AND at > (SELECT changed_at FROM directory_organization WHERE id = $2)`,
    [sent.map(({ id }) => id), organization.id],
  )
  expect(late).toBe(0)
})
