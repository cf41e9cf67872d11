import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { ensureUser } from '../src/directory/users.ts'
import { HookBudget } from '../src/hook-budget.ts'
import { defineKind, type Organization, type Prisma } from '../src/index.ts'
import { plain } from './kinds.ts'
import { testPeople } from './people.ts'
import { tally } from './support.ts'

/** Its hook makes its issue a transaction of several statements. */
const hooked = defineKind({
  ...{ name: 'hooked', payload: plain.payload, lifetime: { default: '1d', max: '60d' }, reminders: [] },
  hooks: { issued: async (tx) => void (await tx.$queryRaw`SELECT pg_sleep(0.005)::text`) },
})

const stage = await testPeople([plain, hooked])
const { domain, fresh, history, holding, invited, lockWaiters, memberships, organizations, person, sql, users } = stage
const { resources } = domain
const elsewhere = stage.elsewhere()
const other = stage.another([plain, hooked])

const times = <T>(n: number, act: (i: number) => Promise<T>) => Promise.all(Array.from({ length: n }, (_, i) => act(i)))
const codeOf = (error: unknown) => (error as { code?: string }).code ?? String(error)
const organizationOf = async (seatLimit?: number) => (await organizations.create({ name: 'Acme', seatLimit })).id
const live = (organizationId: string) => resources.count({ organizationId, live: true })
const issueIn = async (organization: string) => (await resources.issue({ kind: 'plain', organization })).resource.id
/** Nothing else came out of it. */
const onlyOf = <T>(outcomes: readonly T[], ...allowed: T[]) =>
  expect(outcomes.filter((outcome) => !allowed.includes(outcome))).toEqual([])
/** Does `act` in a transaction that then stays open while `meanwhile` runs. */
const during = async <T>(act: (tx: Prisma.TransactionClient) => Promise<object>, meanwhile: () => Promise<T>) => {
  const [acted, go] = [signal(), signal()]
  const slow = domain.once({ owner: 'slow', key: fresh(), fingerprint: '' }, async (tx) => {
    const answer = await act(tx)
    acted.give()
    await go.given
    return answer
  })
  await acted.given
  const answer = await meanwhile().finally(go.give)
  await slow
  return answer
}
const signal = () => {
  let give = () => {}
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  return { given, give: () => give() }
}

describe('issuing in an organization', () => {
  it.each([
    ['suspend', 'suspended'],
    ['delete', 'revoked'],
  ] as const)('40 at a time while somebody calls %s: nothing live is left in it', async (act, status) => {
    for (let round = 0; round < 4; round++) {
      const id = await organizationOf()
      const issue = (i: number) => {
        const at = (i % 2 ? domain : other).resources
        const one = { kind: i % 4 === 1 ? 'hooked' : 'plain', organization: id }
        return i % 4 === 2 ? at.issueAll([one, one]) : at.issue(one).then((change) => [change])
      }
      const issuing = times(40, async (i) => {
        // Before, at the same time and after.
        await sleep(i)
        return issue(i).catch(codeOf)
      })
      await sleep(5 + 10 * round)
      const { affected } = await (round % 2 ? organizations : elsewhere.organizations)[act](id)
      const outcomes = await issuing
      const issued = outcomes.flatMap((outcome) => (typeof outcome === 'string' ? [] : outcome))
      expect(new Set(outcomes.filter((outcome) => typeof outcome === 'string'))).toEqual(
        issued.length === 50 ? new Set() : new Set(['organization_not_active']),
      )
      expect(affected).toBe(issued.length)
      expect(await live(id)).toBe(0)
      expect(await resources.count({ organizationId: id, status })).toBe(issued.length)
      for (const { resource } of issued) expect(await history(resource.id)).toHaveLength(2)
    }
  })

  it.each(['suspend', 'delete'] as const)('%s waits for whoever is issuing, and takes it along', async (act) => {
    const id = await organizationOf()
    const issue = async (tx: Prisma.TransactionClient) =>
      resources.within(tx).issue({ kind: 'plain', organization: id })
    const { acting } = await during(issue, async () => {
      const acting = organizations[act](id)
      await lockWaiters(1)
      return { acting }
    })
    expect(await acting).toMatchObject({ affected: 1 })
    expect(await live(id)).toBe(0)
  })

  it.each(['suspend', 'delete'] as const)('waits for whoever calls %s, and is refused', async (act) => {
    const id = await organizationOf()
    const befall = (tx: Prisma.TransactionClient) => domain.ownVerbs(async () => true, tx).organizations[act](id)
    const { issuing } = await during(befall, async () => {
      const issuing = times(4, () => issueIn(id).catch(codeOf))
      // The fourth waits for its turn in this process.
      await lockWaiters(3)
      return { issuing }
    })
    onlyOf(await issuing, 'organization_not_active')
    expect(await resources.count({ organizationId: id })).toBe(0)
  })
})

describe('an organization', () => {
  it('suspended while 40 are being used: each was used before, or is suspended', async () => {
    for (let round = 0; round < 3; round++) {
      const id = await organizationOf()
      const ids = await times(40, () => issueIn(id))
      const using = times(40, async (i) => {
        await sleep(i / 2)
        return (i % 2 ? domain : other).resources.consume('plain', ids[i] ?? '')
      })
      await sleep(3 * round)
      const { affected } = await organizations.suspend(id)
      const results = await using
      for (const [i, result] of results.entries()) {
        expect(await history(ids[i] ?? '')).toEqual(['issued', result.consumed ? 'consumed' : 'suspended'])
        if (!result.consumed) expect(result.reason).toBe('suspended')
      }
      expect(affected).toBe(results.filter(({ consumed }) => !consumed).length)
    }
  })

  it('suspended, restored and deleted 40 at once: one after the other, and the audit adds up', async () => {
    const id = await organizationOf()
    const ids = await times(10, () => issueIn(id))
    const acts = ['suspend', 'restore', 'suspend', 'delete'] as const
    const outcomes = await times(40, (i) =>
      (i % 2 ? organizations : elsewhere.organizations)
        [acts[i % 4] ?? 'suspend'](id)
        .then(({ affected }) => affected, codeOf),
    )
    const counts = outcomes.filter((outcome) => typeof outcome === 'number')
    onlyOf(
      outcomes.filter((outcome) => typeof outcome === 'string'),
      'organization_not_active',
    )
    onlyOf(counts, 0, 10)
    expect(await live(id)).toBe(0)
    const befallen = (await history(ids[0] ?? '')).slice(1)
    expect(counts.filter((count) => count > 0)).toHaveLength(befallen.length)
    expect(befallen.at(-1)).toBe('revoked')
    for (const one of ids) expect((await history(one)).slice(1)).toEqual(befallen)
    // Each event begins where the one before has ended.
    const events = (await domain.events({ resourceId: id }, { limit: 200 })).reverse().slice(1)
    let status: Organization['status'] = 'active'
    for (const { data } of events) {
      expect(data?.before).toEqual({ status })
      status = (data as { after: { status: Organization['status'] } }).after.status
    }
    expect((await organizations.get(id)).status).toBe(status)
  })

  it('with one reference is made once of 40', async () => {
    const made = await times(40, (i) =>
      (i % 2 ? organizations : elsewhere.organizations)
        .create({ name: `Acme ${i}`, reference: 'once' })
        .then(() => 'made', codeOf),
    )
    expect(tally(made)).toEqual({ made: 1, reference_taken: 39 })
  })
})

describe('seats', () => {
  it('40 who join at once take the five there are, and no more', async () => {
    const id = await organizationOf(5)
    const people = await times(40, () => person())
    const outcomes = await times(40, (i) =>
      (i % 2 ? memberships : elsewhere.memberships)
        .add({ organization: id, user: people[i]?.id ?? '', role: 'member' })
        .then(() => 'joined', codeOf),
    )
    expect(tally(outcomes)).toEqual({ joined: 5, seats_taken: 35 })
    expect(await memberships.list({ organization: id })).toHaveLength(5)
  })

  it('the last one, wanted by two at the same instant, goes to one', async () => {
    for (let round = 0; round < 5; round++) {
      const id = await organizationOf(1)
      const pair = [await person(), await person()]
      const joining: Promise<string>[] = []
      // They meet at the lock for certain.
      await holding(
        id,
        async () => {
          for (const { id: user } of pair)
            joining.push(memberships.add({ organization: id, user, role: 'member' }).then(() => 'joined', codeOf))
          await lockWaiters(2)
        },
        'directory_organization',
      )
      expect(tally(await Promise.all(joining))).toEqual({ joined: 1, seats_taken: 1 })
    }
  })

  it('one user who joins 40 times at once is a member once, with one seat', async () => {
    const id = await organizationOf(2)
    const { id: user } = await person()
    const outcomes = await times(40, () =>
      memberships.add({ organization: id, user, role: 'member' }).then(() => 'joined', codeOf),
    )
    expect(tally(outcomes)).toEqual({ joined: 1, already_a_member: 39 })
    await memberships.add({ organization: id, user: (await person()).id, role: 'member' })
  })

  it('nobody joins an organization that is being suspended or deleted: members before, or refused', async () => {
    const id = await organizationOf()
    const people = await times(40, () => person())
    const joining = times(40, async (i) => {
      await sleep(i)
      return memberships
        .add({ organization: id, user: people[i]?.id ?? '', role: 'member' })
        .then(() => 'joined', codeOf)
    })
    await sleep(20)
    await organizations.delete(id)
    onlyOf(await joining, 'joined', 'organization_not_active')
    expect(await memberships.list({ organization: id })).toEqual([])
  })
})

describe('an address', () => {
  it('given to 40 new users at once, in several spellings, belongs to one', async () => {
    const email = fresh()
    const outcomes = await times(40, (i) =>
      (i % 2 ? users : elsewhere.users)
        .create({ email: i % 3 ? email : email.toUpperCase() })
        .then(() => 'made', codeOf),
    )
    expect(tally(outcomes)).toEqual({ made: 1, address_taken: 39 })
  })

  it('that 40 users move to at once belongs to one of them; so does a reference', async () => {
    const people = await times(40, () => users.create({ email: fresh() }))
    const email = fresh()
    const move = (changes: object) =>
      times(40, (i) =>
        (i % 2 ? users : elsewhere.users).update(people[i]?.id ?? '', changes).then(() => 'moved', codeOf),
      )
    expect(tally(await move({ email }))).toEqual({ moved: 1, address_taken: 39 })
    expect(tally(await move({ reference: email }))).toEqual({ moved: 1, reference_taken: 39 })
    const holders = await sql('SELECT FROM directory_user WHERE canonical = $1', [email])
    expect(holders).toHaveLength(1)
  })

  it('vouched for 40 times at once is one user, verified once', async () => {
    const email = fresh()
    const ensured = await times(40, (i) =>
      domain.once({ owner: 'ensure', key: `${email}${i}`, fingerprint: '' }, (tx) =>
        ensureUser(
          {
            tx,
            registry: domain.registry,
            resources: resources.within(tx),
            hookBudget: new HookBudget(1_000),
            changes: [],
          },
          { email, verified: true, name: `Ada ${i}` },
          {},
        ),
      ),
    )
    const ids = new Set(ensured.map(({ answer }) => answer.id))
    expect(ids.size).toBe(1)
    expect(await history([...ids][0] ?? '')).toEqual(['created'])
  })
})

describe('a user', () => {
  it('who is deleted while 40 let them in: nobody is left a member, and nothing of theirs is live', async () => {
    for (let round = 0; round < 3; round++) {
      const user = await person()
      const ids = await times(20, () => organizationOf())
      const joining = times(40, async (i) => {
        await sleep(i / 2)
        return (i % 2 ? memberships : elsewhere.memberships)
          .add({ organization: ids[i % 20] ?? '', user: user.id, role: 'member' })
          .then(() => 'joined', codeOf)
      })
      await sleep(4 + 6 * round)
      await users.delete(user.id)
      onlyOf(await joining, 'joined', 'already_a_member', 'unknown_user')
      const [row] = await sql('SELECT count(*)::int AS n FROM directory_membership WHERE user_id = $1', [user.id])
      expect(row).toEqual({ n: 0 })
      const [events] = await sql(
        `SELECT count(*) FILTER (WHERE type = 'joined')::int - count(*) FILTER (WHERE type = 'removed')::int AS n FROM event
        WHERE kind = 'directory-membership' AND data ->> 'user_id' = $1`,
        [user.id],
      )
      expect(events).toEqual({ n: 0 })
    }
  })

  it('who is being deleted joins nothing: whoever lets them in waits, and is told', async () => {
    const [user, organization] = [await person(), await organizationOf()]
    const remove = (tx: Prisma.TransactionClient) => domain.ownVerbs(async () => true, tx).users.delete(user.id)
    const { joining } = await during(remove, async () => {
      const joining = memberships.add({ organization, user: user.id, role: 'member' }).then(() => 'joined', codeOf)
      await lockWaiters(1)
      return { joining }
    })
    expect(await joining).toBe('unknown_user')
  })

  it('who is deleted while 40 sign them in has no session left', async () => {
    const user = await person()
    const signing = times(40, async (i) => {
      await sleep(i / 2)
      return stage.people.sessions.issue({ userId: user.id }).then(() => 'in', codeOf)
    })
    await sleep(8)
    await users.delete(user.id)
    onlyOf(await signing, 'in', 'unknown_user')
    expect(await resources.count({ kind: 'session', subject: user.id, live: true })).toBe(0)
  })

  it('who is removed while inviting leaves no live invite behind, nor one for themselves', async () => {
    const organization = await organizationOf()
    const user = await person()
    const { id } = await memberships.add({ organization, user: user.id, role: 'owner' })
    const inviting = times(40, async (i) => {
      await sleep(i)
      return invited(organization, fresh(), 'member', user.id).then(() => 'sent', codeOf)
    })
    await sleep(20)
    await memberships.remove(id)
    onlyOf(await inviting, 'sent', 'role_too_high')
    expect(await live(organization)).toBe(0)
  })

  it('who is removed while what they sent is sent again: one waits for the other, and nothing stays live', async () => {
    const organization = await organizationOf()
    const pairs = await times(20, async () => {
      const user = await person()
      const { id } = await memberships.add({ organization, user: user.id, role: 'owner' })
      return { membership: id, invite: (await invited(organization, fresh(), 'member', user.id)).id }
    })
    const outcomes = await Promise.all(
      pairs.flatMap(({ membership, invite }, i) => [
        stage.invites.resend(invite, { deliver: 'return' }).then(() => 'sent', codeOf),
        (i % 2 ? memberships : elsewhere.memberships).remove(membership).then(() => 'removed', codeOf),
      ]),
    )
    onlyOf(outcomes, 'sent', 'removed', 'role_too_high', 'already_ended')
    expect(tally(outcomes).removed).toBe(20)
    expect(await live(organization)).toBe(0)
  })
})
