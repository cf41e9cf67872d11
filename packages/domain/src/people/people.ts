import { Memberships } from '../directory/memberships.ts'
import { Organizations } from '../directory/organizations.ts'
import { Users } from '../directory/users.ts'
import type { Ground } from '../ground.ts'
import { Invites } from './invites.ts'
import { Sessions } from './sessions.ts'
import { SignIn } from './sign-in.ts'
import { Verifications } from './verifications.ts'

/** The directory, and the kinds that people meet, each with verbs of its own. */
export const peopleOn = (ground: Ground) => {
  const organizations = new Organizations(ground)
  const users = new Users(ground)
  const entrance = ground.on('sign-in')
  const verifications = new Verifications(entrance)
  return {
    organizations,
    users,
    memberships: new Memberships(ground),
    invites: new Invites(ground, organizations),
    verifications,
    sessions: new Sessions(entrance),
    signIn: new SignIn(entrance, new Users(entrance), verifications),
  }
}
