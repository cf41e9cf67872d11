import type { Abuse as LapseAbuse } from 'lapse'
import { z } from 'zod'
import { permit } from '../http/access.ts'
import { instant } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { type App, answer, operation, type PeopleContext } from './route.ts'

const moment = z.string().meta({ format: 'date-time' })
const id = z.string().meta({ format: 'uuid' })

const Abuse = z
  .object({
    since: moment,
    until: moment,
    refusals: z
      .array(
        z.object({
          kind: z.string(),
          reason: z.string().describe('`unknown`, `malformed`, `wrong-secret`, `expired`, `revoked`, `superseded` …'),
          count: z.int(),
          resources: z.int().describe('How many different ones that there are; guesses are of none.'),
        }),
      )
      .describe('What was tried without success, the most frequent first.'),
    hours: z
      .array(z.object({ hour: moment, refused: z.int(), invited: z.int() }))
      .describe('Only those in which there was something.'),
    repeats: z
      .array(
        z.object({
          resource_id: id,
          kind: z.string(),
          count: z.int(),
          reasons: z.record(z.string(), z.int()),
          first_at: moment,
          last_at: moment,
        }),
      )
      .describe('The 20 that were tried most often without success, more than once each.'),
    senders: z
      .array(
        z.object({
          actor: z.string().nullable(),
          organization_id: id.nullable(),
          invites: z.int(),
          addresses: z.int().describe('How many different ones they went to.'),
          last_at: moment,
        }),
      )
      .describe('The 20 who have sent most invites.'),
  })
  .meta({ id: 'Abuse', description: 'Who guesses, and who floods.' })

/** The watch for abuse: an operator's view of the audit. */
export const abuseRoutes = (app: App, { lapse }: PeopleContext): void => {
  app.get(
    '/v1/abuse',
    {
      ...permit('abuse', 'read'),
      schema: {
        ...operation(
          'events',
          'watchAbuse',
          'Watch for abuse',
          'What was refused, and who invites, within a day or so.',
        ),
        querystring: z.strictObject({
          since: instant
            .optional()
            .describe('At this instant or later; a day before `until` unless you say otherwise.'),
          until: instant.optional().describe('Before this instant; now unless you say otherwise. At most 31 days.'),
        }),
        response: { 200: answer('What there was.', Abuse), ...problems(403, 422) },
      },
    },
    async ({ query }) => abuseOut(await lapse.abuse(query)),
  )
}

const abuseOut = (abuse: LapseAbuse): z.infer<typeof Abuse> => ({
  since: abuse.since.toISOString(),
  until: abuse.until.toISOString(),
  refusals: [...abuse.refusals],
  hours: abuse.hours.map(({ hour, ...counts }) => ({ hour: hour.toISOString(), ...counts })),
  repeats: abuse.repeats.map(({ resourceId, kind, count, reasons, firstAt, lastAt }) => ({
    resource_id: resourceId,
    kind,
    count,
    reasons: { ...reasons },
    first_at: firstAt.toISOString(),
    last_at: lastAt.toISOString(),
  })),
  senders: abuse.senders.map(({ actor, organizationId, invites, addresses, lastAt }) => ({
    actor,
    organization_id: organizationId,
    invites,
    addresses,
    last_at: lastAt.toISOString(),
  })),
})
