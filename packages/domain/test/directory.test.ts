import { describe, expect, it } from 'vitest'
import { canonicalAddress, emailAddress } from '../src/directory/address.ts'
import { ensureUser, verifyUser } from '../src/directory/users.ts'
import type { Work } from '../src/ground.ts'
import { HookBudget } from '../src/hook-budget.ts'
import { type By, type Change, defineKind, type Prisma } from '../src/index.ts'
import { plain, membership as subscription } from './kinds.ts'
import { testPeople } from './people.ts'
import { day, hour, tally } from './support.ts'

/** Writes what befalls it into a table of its own. */
const note = async (
  tx: Prisma.TransactionClient,
  happenings: readonly { type: string; resource: { id: string } }[],
) => {
  for (const { type, resource } of happenings)
    await tx.$executeRaw`INSERT INTO note (resource_id, type) VALUES (${resource.id}::uuid, ${type})`
}

const watched = defineKind({
  ...{ name: 'watched', payload: plain.payload, lifetime: { default: '10d', max: '60d' }, reminders: ['1d'] },
  hooks: { suspended: note, restored: note, revoked: note },
  handlers: { suspended: () => {}, restored: () => {}, revoked: () => {} },
})
/** One that only another process knows. */
const foreign = defineKind({
  ...{ name: 'foreign', payload: plain.payload, lifetime: { default: '10d', max: '60d' }, reminders: [] },
})

const stage = await testPeople([plain, subscription, watched])
const { age, another, domain, fresh, history, invited, memberships, organizations, people, person, sql, users } = stage
const { resources } = domain
await sql(`CREATE TABLE note (n serial, resource_id uuid, type text); GRANT SELECT, INSERT ON note TO PUBLIC;
  GRANT USAGE ON SEQUENCE note_n_seq TO PUBLIC`)

const nobody = '00000000-0000-0000-0000-000000000000'
const host: By = { actor: 'host', reason: 'unpaid' }
const organizationOf = async (about: { seatLimit?: number; reference?: string } = {}) =>
  (await organizations.create({ name: 'Acme', ...about })).id
const issueIn = async (organization: string, kind = 'plain', more: object = {}) =>
  (await resources.issue({ kind, organization, ...more })).resource.id
const phase = async (id: string, kind = 'plain') => {
  const answer = await resources.check(kind, id)
  return answer.allowed ? answer.phase : answer.reason
}
const eventsOf = (resourceId: string) => domain.events({ resourceId }).then((events) => events.reverse())
/** In the transaction that everything of `act` commits with. */
const within = <T extends object>(act: (tx: Prisma.TransactionClient) => Promise<T>) =>
  domain.once({ owner: 'test', key: fresh(), fingerprint: '' }, act).then(({ answer }) => answer)
const working = <T extends object>(act: (work: Work) => Promise<T>) =>
  within((tx) =>
    act({
      tx,
      registry: domain.registry,
      resources: resources.within(tx),
      hookBudget: new HookBudget(1_000),
      changes: [],
    }),
  )

describe('an address', () => {
  it.each([
    ['ada@example.com', 'ada@example.com', 'ada@example.com'],
    ['  Ada.L+Work@Example.COM\n', 'Ada.L+Work@Example.COM', 'ada.l+work@example.com'],
    ['ada@bücher.example', 'ada@bücher.example', 'ada@xn--bcher-kva.example'],
    ['ada@BÜCHER.example', 'ada@bücher.example', 'ada@xn--bcher-kva.example'],
    ['ada@bu\u0308cher.example', 'ada@bücher.example', 'ada@xn--bcher-kva.example'],
    ['ada@xn--bcher-kva.example', 'ada@xn--bcher-kva.example', 'ada@xn--bcher-kva.example'],
    ['a/b@example.com', 'a/b@example.com', 'a/b@example.com'],
    ['Info&X@example.com', 'Info&X@example.com', 'info&x@example.com'],
    ['user=tag@münchen.example', 'user=tag@münchen.example', 'user=tag@xn--mnchen-3ya.example'],
    ["!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"],
    ['ada@пример.рф', 'ada@пример.рф', 'ada@xn--e1afmkfd.xn--p1ai'],
    // Shown, and sent to, as what it is compared as: nobody gets a mail that proves another's address.
    ['ada@ｅｘａｍｐｌｅ.com', 'ada@example.com', 'ada@example.com'],
  ])('%j is kept as %j and compared as %j', (given, email, canonical) => {
    expect(canonicalAddress('email', given)).toEqual({ email, canonical })
  })

  it.each([
    ...['', 'ada', 'ada@', '@example.com', 'ada@localhost', 'ada@example', 'a b@example.com', 'ada@@example.com'],
    ...['ada@example.com.', 'ada@-example.com', 'ada@exam_ple.com', 'ada..l@example.com', '.ada@example.com'],
    // What the reading of a domain would cut off, decode or take for a number.
    ...[
      'ada@example.com/x',
      'ada@example.com#x',
      'ada@%65xample.com',
      'ada@example。com',
      'ada@127.0.0.1',
      'ada@0x7f.1',
    ],
    ...['ada@[127.0.0.1]', 'Ada <ada@example.com>', 'ada@example.com\r\nBcc: eve@example.com', 'ada\0@example.com'],
    ...['ada@example.com,eve@example.com', 'ada@\ud800example.com', `${'a'.repeat(245)}@example.com`],
    ...[`ada@${'ü'.repeat(61)}.example`, `${'a'.repeat(65)}@example.com`, 'ada.@example.com', 'adä@example.com'],
    ...[
      '"ada l"@example.com',
      'a(b)@example.com',
      'ada\u202e@example.com',
      'ada@exam\u200bple.com',
      'a\u00a0b@example.com',
    ],
  ])('%j is refused', (given) => {
    expect(() => canonicalAddress('email', given)).toThrow(expect.objectContaining({ code: 'invalid', field: 'email' }))
  })

  it('has at most 254 characters, also as it is compared', () => {
    const domain = `${'d'.repeat(60)}.${'e'.repeat(60)}.${'f'.repeat(60)}.example.com`
    const fits = `${'a'.repeat(254 - domain.length - 1)}@${domain}`
    expect(canonicalAddress('email', fits).email).toBe(fits)
    expect(() => canonicalAddress('email', `a${fits}`)).toThrow()
    const wide = `${'a'.repeat(60)}@${'ü.'.repeat(30)}example`
    expect(() => canonicalAddress('email', wide)).toThrow()
  })

  it('in a schema is kept the same way, and once more is the same', () => {
    const kept = emailAddress.parse('  Ada/L@BÜCHER.example ')
    expect([kept, emailAddress.parse(kept)]).toEqual(['Ada/L@bücher.example', 'Ada/L@bücher.example'])
  })
})

describe('an organization', () => {
  it('is found by its id in any case, and by the id of the host application', async () => {
    const made = await organizations.create({ name: ' Acme ', reference: 'host-1', plan: 'pro', seatLimit: 3 }, host)
    expect(made).toMatchObject({ name: 'Acme', reference: 'host-1', status: 'active', plan: 'pro', seatLimit: 3 })
    for (const key of [made.id, made.id.toUpperCase(), 'host-1']) expect(await organizations.get(key)).toEqual(made)
    for (const key of [nobody, 'host-2', ''])
      await expect(organizations.get(key)).rejects.toMatchObject({ code: 'not_found' })
    for (const key of [made.id, made.id.toUpperCase(), 'host-1'])
      expect(await resources.get(await issueIn(key))).toMatchObject({ organizationId: made.id })
    expect(await eventsOf(made.id)).toMatchObject([
      {
        kind: 'directory-organization',
        type: 'created',
        trigger: 'manual',
        actor: 'host',
        reason: 'unpaid',
        at: made.createdAt,
      },
    ])
  })

  it('has a reference that nobody else has, as reference or as id', async () => {
    const { id } = await organizations.create({ name: 'First', reference: 'taken' })
    for (const reference of ['taken', id, id.toUpperCase()])
      await expect(organizations.create({ name: 'Second', reference })).rejects.toMatchObject({
        ...{ code: 'reference_taken', field: 'reference' },
      })
  })

  it.each([
    [{ name: '' }, 'name'],
    [{ name: '   ' }, 'name'],
    [{ name: 'x'.repeat(201) }, 'name'],
    [{ name: 'Acme\nBcc: eve@example.com' }, 'name'],
    [{ name: 'a\0b' }, 'name'],
    [{ name: 'Acme', reference: '' }, 'reference'],
    [{ name: 'Acme', reference: 'x'.repeat(501) }, 'reference'],
    [{ name: 'Acme', plan: '' }, 'plan'],
    [{ name: 'Acme', seatLimit: -1 }, 'seat_limit'],
    [{ name: 'Acme', seatLimit: 1.5 }, 'seat_limit'],
    [{ name: 'Acme', seatLimit: 2 ** 31 }, 'seat_limit'],
  ])('%j is refused', async (input, field) => {
    await expect(organizations.create(input)).rejects.toMatchObject({ code: 'invalid', field })
  })

  it('changes only what is given; null takes it away; without a difference there is no event', async () => {
    const { id } = await organizations.create({ name: 'Acme', plan: 'pro', seatLimit: 3 })
    expect(await organizations.update(id, { name: 'Acme Ltd' })).toMatchObject({ name: 'Acme Ltd', plan: 'pro' })
    const bare = await organizations.update(id, { plan: null, seatLimit: null }, host)
    expect(bare).toMatchObject({ name: 'Acme Ltd', plan: null, seatLimit: null })
    expect(await organizations.update(id, { name: 'Acme Ltd', plan: null })).toEqual(bare)
    expect(await organizations.get(id)).toEqual(bare)
    expect(await history(id)).toEqual(['created', 'updated', 'updated'])
    const [last] = await domain.events({ resourceId: id }, { limit: 1 })
    const after = { name: 'Acme Ltd', plan: null, seat_limit: null }
    expect(last).toMatchObject({ actor: 'host', data: { before: { plan: 'pro', seat_limit: 3 }, after } })
    await expect(organizations.update(nobody, { name: 'x' })).rejects.toMatchObject({ code: 'not_found' })
    await expect(organizations.update(id, { seatLimit: -2 })).rejects.toMatchObject({ field: 'seat_limit' })
  })

  it('is listed newest first, by status and reference, page by page', async () => {
    const made: string[] = []
    for (let i = 0; i < 5; i++) made.unshift(await organizationOf({ reference: `listed-${i}` }))
    await organizations.suspend(made[2] ?? '')
    expect((await organizations.list({}, { limit: 3 })).map(({ id }) => id)).toEqual(made.slice(0, 3))
    expect((await organizations.list({}, { limit: 2, before: made[2] ?? '' })).map(({ id }) => id)).toEqual(
      made.slice(3),
    )
    expect((await organizations.list({ status: 'suspended' }))[0]).toMatchObject({ id: made[2] })
    expect(await organizations.list({ reference: 'listed-3' })).toMatchObject([{ id: made[1] }])
    expect(await organizations.list({ reference: 'listed-9' })).toEqual([])
  })

  it('nothing is issued in one that is unknown, suspended or deleted; in bulk none of them, naming the one', async () => {
    const [id, other] = [await organizationOf(), await organizationOf()]
    await expect(issueIn(nobody)).rejects.toMatchObject({ code: 'unknown_organization', field: 'organization' })
    const bulk = () => resources.issueAll([other, id].map((organization) => ({ kind: 'plain', organization })))
    for (const act of [organizations.suspend, organizations.delete]) {
      await act.call(organizations, id)
      await expect(issueIn(id)).rejects.toMatchObject({ code: 'organization_not_active', field: 'organization' })
      await expect(bulk()).rejects.toMatchObject({ code: 'organization_not_active', field: '1.organization' })
    }
    expect(await resources.count({ organizationId: other })).toBe(0)
    await organizations.restore(id)
    expect(await bulk()).toHaveLength(2)
  })
})

describe('B10: an organization suspended', () => {
  it('blocks all that is live in it; restored, it works again as if nothing had been', async () => {
    const [id, elsewhere] = [await organizationOf(), await organizationOf()]
    const [active, grace, over, revoked, used] = [
      await issueIn(id),
      await issueIn(id, 'membership'),
      await issueIn(id),
      await issueIn(id),
      await issueIn(id),
    ]
    const bystander = await issueIn(elsewhere)
    const free = (await resources.issue({ kind: 'plain' })).resource.id
    await age(grace, 14 * day)
    await age(over, 14 * day)
    await resources.revoke('plain', revoked)
    await resources.consume('plain', used)
    const before = await resources.get(active)

    expect(await organizations.suspend(id, host)).toMatchObject({ affected: 2, organization: { status: 'suspended' } })
    expect([await phase(active), await phase(grace, 'membership')]).toEqual(['suspended', 'suspended'])
    expect([await phase(over), await phase(revoked), await phase(used)]).toEqual(['expired', 'revoked', 'consumed'])
    expect([await phase(bystander), await phase(free)]).toEqual(['active', 'active'])
    expect(await resources.consume('plain', active)).toMatchObject({ consumed: false, reason: 'suspended' })
    const renewal = resources.renew('plain', active, { expiresInMs: day })
    await expect(renewal).rejects.toMatchObject({ code: 'suspended', status: 409 })
    const counts = async () => [
      await resources.count({ organizationId: id, live: true }),
      await resources.count({ organizationId: id, status: 'suspended' }),
      (await resources.list({ organizationId: id, status: 'active' })).length,
    ]
    expect(await counts()).toEqual([0, 2, 0])

    expect(await organizations.restore(id, host)).toMatchObject({ affected: 2, organization: { status: 'active' } })
    expect([await phase(active), await phase(grace, 'membership')]).toEqual(['active', 'grace'])
    expect([await phase(over), await phase(revoked), await phase(used)]).toEqual(['expired', 'revoked', 'consumed'])
    expect(await counts()).toEqual([2, 0, 1])
    expect({ ...(await resources.get(active)), seenAt: 0 }).toEqual({ ...before, seenAt: 0 })
    expect(await resources.consume('plain', active)).toMatchObject({ consumed: true })

    const cascade = { trigger: 'cascade', ...host }
    expect(await eventsOf(active)).toMatchObject([
      { type: 'issued' },
      { type: 'suspended', from: 'active', to: 'suspended', ...cascade },
      { type: 'restored', from: 'suspended', to: 'active', ...cascade },
      { type: 'consumed' },
    ])
    expect(await eventsOf(grace)).toMatchObject([
      { type: 'issued' },
      { type: 'suspended', from: 'active', to: 'suspended', ...cascade },
      { type: 'restored', from: 'suspended', to: 'active', ...cascade },
    ])
    expect(await eventsOf(id)).toMatchObject([
      { type: 'created' },
      { type: 'suspended', trigger: 'manual', ...host, data: { before: { status: 'active' } } },
      { type: 'restored', trigger: 'manual', ...host, data: { after: { status: 'active' } } },
    ])
    expect([await history(bystander), await history(free)]).toEqual([['issued'], ['issued']])
  })

  it('does not stop the time: what ends meanwhile has ended, and is not restored', async () => {
    const id = await organizationOf()
    const [lapsed, swept] = [await issueIn(id), await issueIn(id)]
    await organizations.suspend(id)
    await age(swept, 14 * day)
    await domain.advance({ trigger: 'sweep' })
    await age(lapsed, 14 * day)
    expect(await phase(lapsed)).toBe('expired')
    expect(await organizations.restore(id)).toMatchObject({ affected: 0 })
    for (const [ended, trigger] of [
      [lapsed, 'lazy'],
      [swept, 'sweep'],
    ] as const) {
      expect((await resources.get(ended)).status).toBe('expired')
      expect(await eventsOf(ended)).toMatchObject([
        { type: 'issued' },
        { type: 'suspended' },
        { type: 'expired', from: 'suspended', to: 'expired', trigger },
      ])
    }
  })

  it('lets what is in it be ended by hand, for good', async () => {
    const id = await organizationOf()
    const [revoked, expired] = [await issueIn(id), await issueIn(id)]
    await organizations.suspend(id)
    await resources.revoke('plain', revoked)
    await resources.expire('plain', expired)
    expect(await organizations.restore(id)).toMatchObject({ affected: 0 })
    expect([await phase(revoked), await phase(expired)]).toEqual(['revoked', 'expired'])
    expect((await eventsOf(revoked)).at(-1)).toMatchObject({ type: 'revoked', from: 'suspended', trigger: 'manual' })
  })

  it('silences reminders that come due meanwhile', async () => {
    const id = await organizationOf()
    const reminded = await issueIn(id, 'membership', { payload: { email: fresh() } })
    await organizations.suspend(id)
    await age(reminded, 12 * day)
    const { rows } = await domain.advance({ trigger: 'sweep' })
    const [owed] = rows.find((row) => row.id === reminded)?.owed ?? []
    expect(await domain.deliveries.claim(owed?.id ?? '', 30_000)).toMatchObject({ verdict: 'settled' })
    expect((await domain.deliveries.get(owed?.id ?? '')).status).toBe('cancelled')
  })

  it('twice, or restored twice, is quiet', async () => {
    const id = await organizationOf()
    const one = await issueIn(id)
    const { organization } = await organizations.suspend(id)
    expect(await organizations.suspend(id)).toEqual({ organization, affected: 0 })
    await organizations.restore(id)
    expect(await organizations.restore(id)).toMatchObject({ affected: 0, organization: { status: 'active' } })
    expect(await history(id)).toEqual(['created', 'suspended', 'restored'])
    expect(await history(one)).toEqual(['issued', 'suspended', 'restored'])
  })

  it('runs the hooks in the same commit and owes the side effects, each time anew', async () => {
    const id = await organizationOf()
    const one = await issueIn(id, 'watched')
    const told: string[] = []
    const listening = domain.ownVerbs(async (changes) => {
      told.push(
        ...(changes as Change[]).map(({ resource, owed }) => `${resource.id} ${resource.status} ${owed.length}`),
      )
      return true
    })
    for (const act of ['suspend', 'restore', 'suspend', 'delete'] as const) await listening.organizations[act](id)
    const notes = await sql('SELECT type FROM note WHERE resource_id = $1 ORDER BY n', [one])
    expect(notes.map(({ type }) => type)).toEqual(['suspended', 'restored', 'suspended', 'revoked'])
    expect(told).toEqual(['suspended', 'active', 'suspended', 'revoked'].map((status) => `${one} ${status} 1`))
    const owed = await domain.deliveries.list({ resourceId: one })
    expect(tally(owed.map(({ event }) => event.split(':')[0] ?? ''))).toEqual({ suspended: 2, restored: 1, revoked: 1 })
  })

  it('is not held up by a hook that throws: what that did is undone, and it is written down', async () => {
    const id = await organizationOf()
    const [bad, plainOne] = [await issueIn(id, 'watched'), await issueIn(id)]
    await sql(`ALTER TABLE note ADD CONSTRAINT full_up CHECK (resource_id <> '${bad}')`)
    expect(await organizations.suspend(id)).toMatchObject({ affected: 2 })
    await sql('ALTER TABLE note DROP CONSTRAINT full_up')
    expect([await phase(bad, 'watched'), await phase(plainOne)]).toEqual(['suspended', 'suspended'])
    expect(await sql('SELECT FROM note WHERE resource_id = $1', [bad])).toEqual([])
    expect([await history(bad), await history(plainOne)]).toEqual([
      ['issued', 'suspended', 'hook-failed'],
      ['issued', 'suspended'],
    ])
    const [failure] = await domain.events({ resourceId: bad, type: 'hook-failed' })
    expect(failure).toMatchObject({
      trigger: 'cascade',
      reason: expect.stringContaining('the suspended hook of watched'),
    })
  })
})

describe('B10: an organization deleted', () => {
  it('ends everything in it, suspended or not; restored, it begins anew and empty', async () => {
    const id = await organizationOf()
    const user = await person()
    const { id: joined } = await memberships.add({ organization: id, user: user.id, role: 'admin' })
    const [before, held] = [await issueIn(id), await issueIn(id, 'membership')]
    await organizations.suspend(id)
    expect(await organizations.delete(id, host)).toMatchObject({ affected: 2, organization: { status: 'deleted' } })
    expect([await phase(before), await phase(held, 'membership')]).toEqual(['revoked', 'revoked'])
    await expect(organizations.suspend(id)).rejects.toMatchObject({ code: 'organization_not_active', status: 409 })
    await expect(organizations.update(id, { name: 'x' })).rejects.toMatchObject({ code: 'organization_not_active' })
    expect(await organizations.delete(id)).toMatchObject({ affected: 0 })

    expect(await organizations.restore(id)).toMatchObject({ affected: 0, organization: { status: 'active' } })
    expect([await phase(before), await phase(held, 'membership')]).toEqual(['revoked', 'revoked'])
    expect(await memberships.list({ organization: id })).toEqual([])
    expect(await history(before)).toEqual(['issued', 'suspended', 'revoked'])
    expect((await eventsOf(before)).at(-1)).toMatchObject({ from: 'suspended', trigger: 'cascade', ...host })
    expect(await history(id)).toEqual(['created', 'suspended', 'deleted', 'restored'])
    expect((await eventsOf(joined)).at(-1)).toMatchObject({
      ...{ kind: 'directory-membership', type: 'removed', trigger: 'cascade', actor: 'host' },
      data: { organization_id: id, user_id: user.id, before: { role: 'admin' } },
    })
    expect(await phase(await issueIn(id))).toBe('active')
  })

  it('with kinds that this process does not know: they are suspended, restored and ended too', async () => {
    const id = await organizationOf()
    const other = another([foreign])
    const { resource } = await other.resources.issue({ kind: 'foreign', organization: id })
    const theirs = () => other.resources.check('foreign', resource.id)
    expect(await organizations.suspend(id)).toMatchObject({ affected: 1 })
    expect(await theirs()).toMatchObject({ allowed: false, reason: 'suspended' })
    expect(await organizations.restore(id)).toMatchObject({ affected: 1 })
    expect(await theirs()).toMatchObject({ allowed: true })
    expect(await organizations.delete(id)).toMatchObject({ affected: 1 })
    expect(await theirs()).toMatchObject({ allowed: false, reason: 'revoked' })
    expect(await history(resource.id)).toEqual(['issued', 'suspended', 'restored', 'revoked'])
  })

  it('with 3,000 resources, in several batches: each once, nobody else', async () => {
    const [id, elsewhere] = [await organizationOf(), await organizationOf()]
    const many = Array.from({ length: 1_000 }, (_, i) => ({
      ...{ kind: i % 3 ? 'plain' : 'watched', organization: id, subject: i % 10 ? undefined : 'odd' },
    }))
    for (let i = 0; i < 3; i++) await resources.issueAll(many)
    const bystander = await issueIn(elsewhere)
    for (const [act, type] of [
      ['suspend', 'suspended'],
      ['restore', 'restored'],
      ['delete', 'revoked'],
    ] as const) {
      expect(await organizations[act](id)).toMatchObject({ affected: 3_000 })
      const [row] = await sql(
        `SELECT count(*)::int AS events, count(DISTINCT resource_id)::int AS resources FROM event
        JOIN resource r ON r.id = resource_id WHERE organization_id = $1 AND type = $2 AND trigger = 'cascade'`,
        [id, type],
      )
      expect(row).toEqual({ events: 3_000, resources: 3_000 })
    }
    expect(await resources.count({ organizationId: id, status: 'revoked' })).toBe(3_000)
    expect(await history(bystander)).toEqual(['issued'])
  })
})

describe('a user', () => {
  it('is found by id, by the id of the host application, and by the address however it is spelled', async () => {
    const made = await users.create({ email: 'Grace@Bücher.example', name: 'Grace', reference: 'g-1' }, host)
    expect(made).toMatchObject({ email: 'Grace@bücher.example', canonical: 'grace@xn--bcher-kva.example' })
    expect(made).toMatchObject({ name: 'Grace', reference: 'g-1', verifiedAt: null })
    for (const key of [made.id, made.id.toUpperCase(), 'g-1']) expect(await users.get(key)).toEqual(made)
    for (const email of ['GRACE@bücher.example', 'grace@xn--bcher-kva.EXAMPLE'])
      expect([await users.find({ email }), await users.list({ email })]).toEqual([made, [made]])
    expect(await users.find({ email: fresh() })).toBeUndefined()
    expect(await users.list({ reference: 'g-1' })).toEqual([made])
    expect((await users.list({}, { limit: 1 }))[0]).toEqual(made)
    await expect(users.get(nobody)).rejects.toMatchObject({ code: 'not_found' })
    await expect(users.find({ email: 'nonsense' })).rejects.toMatchObject({ code: 'invalid', field: 'email' })
  })

  it('has an address and a reference that nobody else has, in any spelling', async () => {
    const email = fresh()
    const { id } = await users.create({ email, reference: 'only-one' })
    const code = (input: { email: string; reference?: string }) =>
      users.create(input).catch((error) => [error.code, error.field])
    expect(await code({ email: email.toUpperCase() })).toEqual(['address_taken', 'email'])
    expect(await code({ email: fresh(), reference: 'only-one' })).toEqual(['reference_taken', 'reference'])
    expect(await code({ email: fresh(), reference: id })).toEqual(['reference_taken', 'reference'])
    expect(await code({ email, reference: 'only-one' })).toEqual(['address_taken', 'email'])
    const other = await users.create({ email: fresh() })
    const change = (changes: object) => users.update(other.id, changes).catch((error) => [error.code, error.field])
    expect(await change({ email: ` ${email} ` })).toEqual(['address_taken', 'email'])
    expect(await change({ reference: 'only-one' })).toEqual(['reference_taken', 'reference'])
    expect(await change({ reference: id.toUpperCase() })).toEqual(['reference_taken', 'reference'])
    expect(await users.get(other.id)).toEqual(other)
  })

  it('leaves no address and no name in the events', async () => {
    const { id } = await users.create({ email: 'canary@example.com', name: 'Canary Wharf', reference: 'c-1' })
    await users.update(id, { email: 'canary2@example.com', name: 'Canary Islands', verified: true })
    await users.update(id, { name: null })
    const organization = await organizationOf()
    await memberships.add({ organization, user: id, role: 'member' })
    await users.delete(id)
    const [row] = await sql(`SELECT count(*)::int AS n FROM event WHERE event::text ILIKE '%canary%'`)
    expect(row).toEqual({ n: 0 })
    expect(await eventsOf(id)).toMatchObject([
      { type: 'created', data: { after: { reference: 'c-1', verified: false } } },
      { type: 'updated', data: { changed: ['email', 'name'], before: { verified: false }, after: { verified: true } } },
      { type: 'updated', data: { changed: ['name'] } },
      { type: 'deleted', data: { before: { reference: 'c-1', verified: true } } },
    ])
  })

  it('is verified once, and anew with a new address; a repetition is quiet', async () => {
    const { id, verifiedAt } = await users.create({ email: fresh(), verified: true })
    expect(verifiedAt).toBeInstanceOf(Date)
    // Two steps within a millisecond have the same instant.
    const aMillisecondPasses = () => sql('SELECT pg_sleep(0.002)')
    expect((await users.update(id, { verified: true, name: 'Ada' })).verifiedAt).toEqual(verifiedAt)
    expect((await users.update(id, { email: fresh() })).verifiedAt).toBeNull()
    await aMillisecondPasses()
    const again = await users.update(id, { verified: true }, host)
    expect(again.verifiedAt?.getTime()).toBeGreaterThan(verifiedAt?.getTime() ?? Number.NaN)
    expect(await users.update(id, { verified: true })).toEqual(again)
    await aMillisecondPasses()
    const moved = await users.update(id, { email: fresh(), verified: true })
    expect(moved.verifiedAt?.getTime()).toBeGreaterThan(again.verifiedAt?.getTime() ?? Number.NaN)
    expect((await users.update(id, { verified: false })).verifiedAt).toBeNull()
    expect(await history(id)).toEqual(['created', 'updated', 'updated', 'verified', 'updated', 'updated'])
  })

  it('in other letters is the same address: it stays verified, and what was sent there stays good', async () => {
    const email = fresh()
    const { id, verifiedAt } = await person(email)
    const { verification } = await people.verifications.request({ purpose: 'confirm-email', email, deliver: 'return' })
    const spelled = email.toUpperCase()
    expect(await users.update(id, { email: spelled })).toMatchObject({ email: spelled, canonical: email, verifiedAt })
    expect((await resources.get(verification.id)).status).toBe('active')
  })

  it('with another address ends what was sent to the old one to prove it', async () => {
    const [email, next] = [fresh(), fresh()]
    const { id } = await person(email)
    const sent = async (to: string) =>
      (await people.verifications.request({ purpose: 'confirm-email', email: to, deliver: 'return' })).verification.id
    const [old, ahead, bystander] = [await sent(email), await sent(next), await sent(fresh())]
    expect(await users.update(id, { email: next }, host)).toMatchObject({ email: next, verifiedAt: null })
    // What was asked for at the new one before was not asked for by this user.
    for (const one of [old, ahead])
      expect((await eventsOf(one)).at(-1)).toMatchObject({ type: 'revoked', trigger: 'cascade', actor: 'host' })
    expect((await resources.get(bystander)).status).toBe('active')
    expect(await users.find({ email })).toBeUndefined()
  })

  it('newly verified is signed out wherever the address had only been claimed', async () => {
    const { id, canonical } = await users.create({ email: fresh() })
    const session = async () => (await people.sessions.issue({ userId: id })).session.id
    const claimed = await session()
    await working(async (work) => ({ user: await verifyUser(work, canonical, host) }))
    expect((await eventsOf(claimed)).at(-1)).toMatchObject({ type: 'revoked', trigger: 'cascade', actor: 'host' })
    const proven = await session()
    await users.update(id, { name: 'Ada', verified: true })
    expect((await resources.get(proven)).status).toBe('active')
  })

  it('deleted is signed out, has no memberships, and their address is free', async () => {
    const email = fresh()
    const user = await users.create({ email, verified: true, name: 'Ada', reference: 'gone' })
    const [first, last] = [await organizationOf(), await organizationOf()]
    for (const organization of [first, last]) await memberships.add({ organization, user: user.id, role: 'owner' })
    const pending = await invited(first, fresh(), 'member', user.id)
    const toThem = await invited(await organizationOf(), email)
    const { session } = await people.sessions.issue({ userId: user.id })
    const { verification } = await people.verifications.request({ purpose: 'reset-password', email, deliver: 'return' })
    const other = await people.sessions.issue({ userId: (await person()).id })
    expect(await users.delete('gone', host)).toMatchObject({ id: user.id })
    for (const ended of [session.id, verification.id, pending.id, toThem.id])
      expect((await eventsOf(ended)).at(-1)).toMatchObject({ type: 'revoked', trigger: 'cascade', actor: 'host' })
    expect((await resources.get(other.session.id)).status).toBe('active')
    expect(await memberships.list({ user: user.id })).toEqual([])
    const removals = await domain.events(
      { kind: 'directory-membership', type: 'removed', trigger: 'cascade' },
      { limit: 2 },
    )
    expect(removals.map(({ data }) => data?.organization_id).sort()).toEqual([first, last].sort())
    expect(removals).toMatchObject([{ data: { user_id: user.id } }, { data: { user_id: user.id } }])
    await expect(users.get(user.id)).rejects.toMatchObject({ code: 'not_found' })
    await expect(users.delete(user.id)).rejects.toMatchObject({ code: 'not_found' })
    expect((await users.create({ email, reference: 'gone' })).id).not.toBe(user.id)
  })
})

describe('a user who is vouched for', () => {
  it('is made, or found; what is missing is added, and what is known is kept', async () => {
    const email = fresh()
    const ensure = (input: object) => working((work) => ensureUser(work, { email, ...input }, host))
    const { id } = await ensure({ verified: false })
    expect(await history(id)).toEqual(['created'])
    expect(await ensure({ email: email.toUpperCase() })).toMatchObject({ id, email, verifiedAt: null })
    const verified = await ensure({ verified: true, name: 'Ada', reference: email })
    expect(verified).toMatchObject({ id, name: 'Ada', reference: email, verifiedAt: expect.any(Date) })
    expect(await ensure({ verified: false, name: 'Eve' })).toEqual(verified)
    expect(await history(id)).toEqual(['created', 'updated'])
    await expect(ensure({ reference: 'another' })).rejects.toMatchObject({ code: 'address_taken', field: 'reference' })
    await expect(ensure({ email: fresh(), reference: email })).rejects.toMatchObject({ code: 'reference_taken' })
  })

  it('has proven an address that somebody has, or that nobody has', async () => {
    const { id, canonical } = await users.create({ email: fresh() })
    const verify = (address: string) => working(async (work) => ({ user: await verifyUser(work, address, host) }))
    expect(await verify(canonical)).toMatchObject({ user: { id, verifiedAt: expect.any(Date) } })
    await verify(canonical)
    expect(await eventsOf(id)).toMatchObject([{ type: 'created' }, { type: 'verified', actor: 'host' }])
    expect(await verify(fresh())).toEqual({ user: undefined })
  })
})

describe('a membership', () => {
  it('is one for each organization and user, with an event for all that happens to it', async () => {
    const organization = await organizationOf({ reference: 'o-1' })
    const user = await users.create({ email: fresh(), reference: 'u-1' })
    const made = await memberships.add({ organization: 'o-1', user: 'u-1', role: 'member' }, host)
    expect(made).toMatchObject({ organizationId: organization, userId: user.id, role: 'member' })
    expect(await memberships.get(made.id)).toEqual(made)
    expect(await memberships.find(organization, user.id)).toEqual(made)
    expect(await memberships.list({ organization: 'o-1', user: 'u-1' })).toEqual([made])
    const again = memberships.add({ organization, user: user.id, role: 'owner' })
    await expect(again).rejects.toMatchObject({ code: 'already_a_member', field: 'user' })
    expect(await memberships.setRole(made.id, 'admin', host)).toEqual({ ...made, role: 'admin' })
    expect(await memberships.setRole(made.id, 'admin')).toEqual({ ...made, role: 'admin' })
    expect(await memberships.remove(made.id, host)).toEqual({ ...made, role: 'admin' })
    for (const act of [memberships.get, memberships.remove])
      await expect(act.call(memberships, made.id)).rejects.toMatchObject({ code: 'not_found' })
    const who = { organization_id: organization, user_id: user.id }
    expect(await eventsOf(made.id)).toMatchObject([
      {
        kind: 'directory-membership',
        type: 'joined',
        at: made.joinedAt,
        ...host,
        data: { ...who, after: { role: 'member' } },
      },
      { type: 'role-changed', data: { ...who, before: { role: 'member' }, after: { role: 'admin' } } },
      { type: 'removed', trigger: 'manual', data: { ...who, before: { role: 'admin' } } },
    ])
    expect((await memberships.add({ organization, user: user.id, role: 'owner' })).id).not.toBe(made.id)
  })

  it('needs an active organization, a user and a role that there is', async () => {
    const organization = await organizationOf()
    const { id: user } = await person()
    const add = (input: object) =>
      memberships.add({ organization, user, role: 'member', ...input }).catch((error) => [error.code, error.field])
    expect(await add({ organization: nobody })).toEqual(['unknown_organization', 'organization'])
    expect(await add({ user: nobody })).toEqual(['unknown_user', 'user'])
    expect(await add({ user: 'nobody' })).toEqual(['unknown_user', 'user'])
    expect(await add({ role: 'king' })).toEqual(['invalid', 'role'])
    await organizations.suspend(organization)
    expect(await add({})).toEqual(['organization_not_active', 'organization'])
    await organizations.delete(organization)
    expect(await add({})).toEqual(['organization_not_active', 'organization'])
    await expect(memberships.setRole(nobody, 'king' as 'owner')).rejects.toMatchObject({ field: 'role' })
    await expect(memberships.setRole('x', 'owner')).rejects.toMatchObject({ code: 'not_found' })
  })

  it('takes a seat: when none is free nobody joins; a lower limit sends nobody away', async () => {
    const organization = await organizationOf({ seatLimit: 2 })
    const add = async () => memberships.add({ organization, user: (await person()).id, role: 'member' })
    const [first] = [await add(), await add()]
    await expect(add()).rejects.toMatchObject({ code: 'seats_taken', status: 409 })
    const member = memberships.add({ organization, user: first.userId, role: 'member' })
    await expect(member).rejects.toMatchObject({ code: 'already_a_member' })
    await memberships.remove(first.id)
    await add()
    await organizations.update(organization, { seatLimit: 0 })
    expect(await memberships.list({ organization })).toHaveLength(2)
    await expect(add()).rejects.toMatchObject({ code: 'seats_taken' })
    await organizations.update(organization, { seatLimit: null })
    await add()
  })

  it('can be changed and removed while the organization is suspended', async () => {
    const organization = await organizationOf()
    const { id } = await memberships.add({ organization, user: (await person()).id, role: 'member' })
    await organizations.suspend(organization)
    expect(await memberships.setRole(id, 'admin')).toMatchObject({ role: 'admin' })
    await memberships.remove(id)
    expect(await memberships.list({ organization })).toEqual([])
  })

  it('given by hand uses up nothing: the invite that would have given it is revoked', async () => {
    const [organization, user] = [await organizationOf(), await person()]
    const [theirs, another] = [await invited(organization, user.email), await invited(organization, fresh())]
    await memberships.add({ organization, user: user.id, role: 'member' }, host)
    expect((await eventsOf(theirs.id)).at(-1)).toMatchObject({ type: 'revoked', trigger: 'cascade', actor: 'host' })
    expect((await resources.get(another.id)).status).toBe('active')
  })

  it('removed takes along the invites they sent and the one sent to them, and no other', async () => {
    const [organization, elsewhere] = [await organizationOf(), await organizationOf()]
    const [leaving, staying] = [await person(), await person()]
    const { id } = await memberships.add({ organization, user: leaving.id, role: 'owner' })
    await memberships.add({ organization: elsewhere, user: leaving.id, role: 'owner' })
    await memberships.add({ organization, user: staying.id, role: 'owner' })
    const [sent, theirs, abroad, toOthers] = [
      await invited(organization, fresh(), 'member', leaving.id),
      await invited(organization, fresh(), 'member', staying.id),
      await invited(elsewhere, fresh(), 'member', leaving.id),
      await invited(elsewhere, fresh()),
    ]
    const unrelated = await issueIn(organization)
    await memberships.remove(id, host)
    const statuses = [sent, theirs, abroad, toOthers].map(async (one) => (await resources.get(one.id)).status)
    expect(await Promise.all(statuses)).toEqual(['revoked', 'active', 'active', 'active'])
    expect(await phase(unrelated)).toBe('active')
    expect((await eventsOf(sent.id)).at(-1)).toMatchObject({ trigger: 'cascade', actor: 'host' })
  })

  it('of a lower role keeps the invites that it may still send', async () => {
    const organization = await organizationOf()
    const { id: user } = await person()
    const { id } = await memberships.add({ organization, user, role: 'owner' })
    const sent = [
      await invited(organization, fresh(), 'member', user),
      await invited(organization, fresh(), 'admin', user),
      await invited(organization, fresh(), 'owner', user),
      await invited(organization, fresh(), 'owner'),
    ]
    const statuses = () => Promise.all(sent.map(async (one) => (await resources.get(one.id)).status))
    await memberships.setRole(id, 'admin')
    expect(await statuses()).toEqual(['active', 'active', 'revoked', 'active'])
    await memberships.setRole(id, 'owner')
    await memberships.setRole(id, 'member')
    expect(await statuses()).toEqual(['active', 'revoked', 'revoked', 'active'])
  })
})

it('inside a transaction everything commits together, or nothing does', async () => {
  const email = fresh()
  const made: string[] = []
  const act = async (tx: Prisma.TransactionClient) => {
    const inside = domain.ownVerbs(async () => true, tx)
    const { id } = await inside.organizations.create({ name: 'Acme' })
    const user = await inside.users.create({ email })
    await inside.memberships.add({ organization: id, user: user.id, role: 'owner' })
    const { resource } = await domain.resources.within(tx).issue({ kind: 'plain', organization: id })
    await inside.organizations.suspend(id)
    made.push(id, resource.id)
    return { id }
  }
  const failing = within(async (tx) => {
    await act(tx)
    throw new Error('changed my mind')
  })
  await expect(failing).rejects.toThrow('changed my mind')
  expect(await users.find({ email })).toBeUndefined()
  for (const id of made) expect(await history(id)).toEqual([])
  const { id } = await within(act)
  expect([(await organizations.get(id)).status, await phase(made.at(-1) ?? '')]).toEqual(['suspended', 'suspended'])
})

it('what was issued while the organization was being restored says so: its time begins after that', async () => {
  const id = await organizationOf()
  await organizations.suspend(id)
  const issued: Promise<string>[] = []
  await stage.holding(
    id,
    async (holder) => {
      issued.push(issueIn(id, 'plain', { expiresInMs: hour }))
      await stage.lockWaiters(1)
      await holder.query(
        `UPDATE directory_organization SET status = 'active', changed_at = date_trunc('milliseconds', clock_timestamp()) WHERE id = $1`,
        [id],
      )
    },
    'directory_organization',
  )
  const resource = await resources.get((await issued[0]) ?? '')
  expect(resource.issuedAt.getTime()).toBeGreaterThanOrEqual((await organizations.get(id)).changedAt.getTime())
})
