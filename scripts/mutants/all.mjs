import { database } from './database.mjs'
import { deliveries } from './deliveries.mjs'
import { hooks } from './hooks.mjs'
import { http } from './http.mjs'
import { issuing } from './issuing.mjs'
import { lifecycle } from './lifecycle.mjs'
import { machines } from './machines.mjs'
import { members } from './members.mjs'
import { outbound } from './outbound.mjs'
import { people } from './people.mjs'
import { process } from './process.mjs'
import { redis } from './redis.mjs'
import { requests } from './requests.mjs'
import { timers } from './timers.mjs'

/**
 * One guard that is taken away. `file`, `find`, `put`: an exact text, which stands there once, and what takes its place;
 * `and`: more of those. `test`: the file that has to notice, and in it the tests that have this in their name. `redundant`:
 * the mutant that lacks this guard and the one behind it.
 */
const whole =
  (area) =>
  ({ name, guard, file, find, put, and = [], test: [testFile, testName], redundant }) => ({
    ...{ name, guard, area, redundant },
    changes: [{ file, find, put }, ...and],
    test: { file: testFile, name: testName },
  })

export const mutants = [
  ...lifecycle.map(whole('The lifecycle')),
  ...hooks.map(whole('Hooks')),
  ...issuing.map(whole('Lives, versions, references and uses')),
  ...database.map(whole('What PostgreSQL holds')),
  ...timers.map(whole('Timers')),
  ...redis.map(whole('Redis that refuses writes')),
  ...deliveries.map(whole('Deliveries')),
  ...outbound.map(whole('Calls, webhooks and mails')),
  ...members.map(whole('Organizations, members and invites')),
  ...people.map(whole('Tokens, links, codes and sessions')),
  ...machines.map(whole('API tokens, share links, promo codes and access grants')),
  ...http.map(whole('HTTP')),
  ...process.map(whole('Processes and large sets')),
  ...requests.map(whole('Shares of requests')),
]
