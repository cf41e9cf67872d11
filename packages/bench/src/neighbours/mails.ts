import { sleep } from '../measure.ts'
import { type Neighbour, withinTwoSeconds } from './neighbour.ts'
import { compared, paceOf, pulses } from './pulses.ts'

const week = 7 * 86_400
let people = 0

/** Notices of what has ended, beside a mail that somebody waits for. */
const notices = (name: string, few: number, many: number, acceptMs: number): Neighbour => {
  const amount = (quick: boolean) => (quick ? few : many)
  return {
    name,
    noisy: (quick) =>
      `${amount(quick).toLocaleString('en')} expiry mails at the usual rate, a mail server that takes ${acceptMs} ms`,
    quiet: 'a sign-in mail',
    bound: withinTwoSeconds,
    mailAcceptMs: acceptMs,
    measure: async (stage, quick) => {
      const { ask, ground, mail } = stage
      const pace = { ...paceOf(quick), count: quick ? 8 : 15 }
      const quiet = async () => {
        const emails = Array.from({ length: pace.count }, () => `person-${people++}@example.com`)
        for (const email of emails) await ask('POST', '/v1/users', { email, verified: true })
        return pulses(pace, async (i) => {
          const email = emails[i] ?? ''
          // Each from an address of its own, so that it meets no limit.
          const headers = { 'x-forwarded-for': `10.1.${people >> 8}.${(people + i) & 255}` }
          await ask('POST', '/v1/sign-in', { email }, headers)
          return () => mail.arrivals.of(email, pace.withinMs)
        })
      }
      const result = await compared(quiet, async () => {
        const draft = (i: number) => ({
          ...{ kind: 'bench-mailed', expires_in: week, payload: { email: `notice-${i}@example.com` } },
        })
        const ids = await stage.issueAll(amount(quick), draft)
        // All end now: dates are moved, as no lifetime is short enough to issue so many within it.
        await ground.owner.query(
          `UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s, due_at = due_at - s
          FROM (SELECT interval '8 days' AS s) AS shift WHERE id = ANY ($1)`,
          [ids],
        )
        const pending = `SELECT count(*)::int AS n FROM delivery WHERE resource_id = ANY ($1)`
        while ((await ground.owner.query(pending, [ids])).rows[0].n < ids.length) await sleep(100)
      })
      const unsent = `SELECT count(*)::int AS n FROM delivery WHERE channel = 'email' AND settled_at IS NULL`
      const { n } = (await ground.owner.query(unsent)).rows[0]
      return { ...result, notes: `${n.toLocaleString('en')} mails unsent at the end` }
    },
  }
}

/** Who shares the mail server, its rate and its connections. */
export const mails: readonly Neighbour[] = [
  notices('notices-1000', 1_000, 1_000, 0),
  notices('notices-1000-slow', 600, 1_000, 300),
  notices('notices-20000', 4_000, 20_000, 0),
  notices('notices-20000-slow', 4_000, 20_000, 300),
]
