import { randomUUID } from 'node:crypto'
import { invite, type Kind, type OwnVerbs, type Role, session, verification } from '../src/index.ts'
import { letterOf } from './letters.ts'
import { testDomain } from './support.ts'

/** People on a database of this file's own. Call it at the top of a test file. */
export const testPeople = async (more: readonly Kind[] = []) => {
  const kinds = [invite, session(), verification(), ...more]
  const stage = await testDomain(kinds)
  const settle = async () => true
  const people = stage.domain.ownVerbs(settle)
  /** An address that nobody has had yet. */
  const fresh = (): string => `${randomUUID().slice(0, 8)}@example.com`
  return {
    ...stage,
    ...people,
    people,
    fresh,
    /** Another process. */
    elsewhere: (): OwnVerbs => stage.another(kinds).ownVerbs(settle),
    person: (email = fresh()) => people.users.create({ email, verified: true, name: email.split('@')[0] }),
    /** An organization with an owner. */
    company: async (about: { seatLimit?: number } = {}) => {
      const organization = await people.organizations.create({ name: 'Acme', ...about })
      const owner = await people.users.create({ email: fresh(), verified: true, name: 'Olga' })
      await people.memberships.add({ organization: organization.id, user: owner.id, role: 'owner' })
      return { organization, owner }
    },
    /** An invite whose token comes back. */
    invited: async (organization: string, email: string, role: Role = 'member', invitedBy?: string) => {
      const { invite: made, token = '' } = await people.invites.create({
        ...{ organization, email, role, invitedBy, deliver: 'return' },
      })
      return { id: made.id, token, invite: made }
    },
    /** An invite whose token goes out by mail, with that token. */
    mailed: async (organization: string, email: string, role: Role = 'member', invitedBy?: string) => {
      const { invite: made } = await people.invites.create({ organization, email, role, invitedBy })
      return { id: made.id, token: (await letterOf(stage, made.id))?.secrets.token ?? '', invite: made }
    },
    statusOf: async (id: string) => (await stage.domain.resources.get(id)).status,
    /** Why it was refused, the oldest first. */
    refusals: async (id: string): Promise<string[]> => {
      const rows = await stage.sql<{ reason: string }>(
        `SELECT reason FROM event WHERE resource_id = $1 AND type = 'refused' ORDER BY id`,
        [id],
      )
      return rows.map((row) => row.reason)
    },
  }
}
