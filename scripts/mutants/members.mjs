// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are pieces of source code.
const invites = 'packages/domain/src/people/invites.ts'
const organizations = 'packages/domain/src/directory/organizations.ts'
const memberships = 'packages/domain/src/directory/memberships.ts'
const directory = 'packages/domain/test/directory.test.ts'
const directoryRaces = 'packages/domain/test/directory.race.test.ts'

const addedByHand = {
  file: memberships,
  find: '      await revokeInviteTo(work, membership, by)\n      return membership\n',
  put: '      return membership\n',
}
const removed = {
  file: memberships,
  find: '  await revokeInviteTo(work, membership, by)\n}\n',
  put: '}\n',
}

/** Organizations, members and invites. */
export const members = [
  {
    name: 'seats-lock',
    guard: 'Whoever counts seats has locked the organization',
    file: organizations,
    find: 'read(tx, idOrReference, sql`FOR UPDATE`)',
    put: 'read(tx, idOrReference, empty)',
    test: [directoryRaces, '40 who join at once take the five'],
  },
  {
    name: 'seats',
    guard: 'A full organization takes no invite in, and leaves it unburned',
    file: invites,
    find: '>= organization.seatLimit',
    put: '> organization.seatLimit',
    test: ['packages/domain/test/invites.test.ts', 'I2: a full organization'],
  },
  {
    name: 'suspension-reaches-all',
    guard: 'What befalls an organization befalls all that is in it, in one commit',
    file: organizations,
    find: 'cascade(work, act.cascade, { organizationId: was.id }, by)',
    put: 'cascade(work, act.cascade, { organizationId: was.id, scope: was.id }, by)',
    test: [directory, 'B10: an organization suspended'],
  },
  {
    name: 'held-organization',
    guard: 'Whoever issues holds the organization: a suspension finds it, or it sees the suspension',
    file: 'packages/domain/src/store/issue.ts',
    find: 'ORDER BY id FOR SHARE',
    put: 'ORDER BY id',
    test: [directoryRaces, 'issuing in an organization'],
  },
  {
    name: 'inactive-organization',
    guard: 'Nothing is issued in an organization that is not active',
    file: 'packages/domain/src/store/issue.ts',
    find: "WHEN o.status <> 'active' THEN 'organization-not-active'",
    put: "WHEN o.status IS NULL THEN 'organization-not-active'",
    test: [directory, 'nothing is issued in one that is unknown'],
  },
  {
    name: 'cascade-in-batches',
    guard: 'A cascade goes on until it has reached everything',
    file: 'packages/domain/src/cascade.ts',
    find: 'if (rows.length < batchSize) return count',
    put: 'if (rows.length <= batchSize) return count',
    test: [directory, 'with 3,000 resources'],
  },
  {
    name: 'added-member',
    guard: 'Who is made a member by hand keeps no invite by which they could come back',
    ...addedByHand,
    test: [directory, 'given by hand uses up nothing'],
  },
  {
    name: 'removed-member',
    guard: 'An old link does not let a removed member back in',
    ...removed,
    redundant: 'old-link-of-a-member',
    test: [directory, 'removed takes along the invites'],
  },
  {
    name: 'old-link-of-a-member',
    guard: 'The invite to a member ends when they are added, and when they are removed: neither',
    ...removed,
    and: [addedByHand],
    test: ['packages/domain/test/takeover.test.ts', 'of a member who was added by the host and removed'],
  },
  {
    name: 'removed-inviter',
    guard: 'A removed member’s invites end',
    file: memberships,
    find: "  await cascade(work, 'revoke', { kind: 'invite', organizationId, inviterId: userId }, by)\n  await",
    put: '  await',
    test: [directory, 'removed takes along the invites'],
  },
  {
    name: 'role-of-the-inviter',
    guard: 'Nobody invites to a role above their own',
    file: invites,
    find: 'if (roleRank(membership.role) < roleRank(role))',
    put: 'if (roleRank(membership.role) < 0 && roleRank(role))',
    test: ['packages/domain/test/invites.test.ts', 'is never for a role above'],
  },
  {
    name: 'held-role',
    guard: 'Whoever loses a role while inviting takes the invite along',
    file: invites,
    find: "findMembership(tx, organization.id, user.id, 'hold')",
    put: 'findMembership(tx, organization.id, user.id)',
    redundant: 'held-role-and-organization',
    test: ['packages/domain/test/invites.race.test.ts', 'an inviter who loses the role'],
  },
  {
    name: 'held-role-and-organization',
    guard: 'The inviter’s role is held, and the organization it is in: neither',
    file: invites,
    find: "findMembership(tx, organization.id, user.id, 'hold')",
    put: 'findMembership(tx, organization.id, user.id)',
    and: [
      { file: organizations, find: 'read(tx, idOrReference, sql`FOR UPDATE`)', put: 'read(tx, idOrReference, empty)' },
    ],
    test: ['packages/domain/test/invites.race.test.ts', 'an inviter who loses the role'],
  },
  {
    name: 'address-of-an-invite',
    guard: 'An invite is for the address that it was sent to',
    file: invites,
    find: '    if (row.subject !== user.canonical) return this.#otherAddress(which, row, user)\n    if (user.verifiedAt === null) return row.live',
    put: '    if (user.verifiedAt === null) return row.live',
    and: [
      {
        file: invites,
        find: 'const isTheirs = known?.canonical === row.subject\n',
        put: 'const isTheirs = known !== undefined\n',
      },
      {
        file: invites,
        find: 'if (user?.canonical !== row.subject || user.verifiedAt === null)',
        put: 'if (!user || user.verifiedAt === null)',
      },
    ],
    test: ['packages/domain/test/invites.test.ts', 'I5'],
  },
  {
    name: 'unverified-address',
    guard: 'Who has only claimed an address accepts nothing that was sent to it',
    file: invites,
    find: 'if (user?.canonical !== row.subject || user.verifiedAt === null)',
    put: 'if (user?.canonical !== row.subject)',
    and: [
      {
        file: invites,
        find: "    if (user.verifiedAt === null) return row.live ? { status: 'unverified' } : this.#refuse(row.id, row.seen, user)\n    const held",
        put: '    const held',
      },
    ],
    test: ['packages/domain/test/invites.test.ts', 'I5'],
  },
  {
    name: 'superseded-invite',
    guard: 'An invite that is sent again has one live token',
    file: invites,
    find: "if (old.seen === 'consumed' || old.seen === 'revoked')",
    put: "if (old.seen === 'consumed')",
    test: ['packages/domain/test/invites.race.test.ts', 'I7: 40 who send it again'],
  },
  {
    name: 'resends-an-hour',
    guard: 'An invite is sent again three times an hour',
    file: invites,
    find: 'if (recent.count >= resendsAnHour)',
    put: 'if (recent.count < 0 * resendsAnHour)',
    test: ['packages/domain/test/invites.test.ts', 'three an hour'],
  },
]
