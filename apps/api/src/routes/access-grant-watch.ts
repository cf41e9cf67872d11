import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import type { Lapse } from 'lapse'
import { z } from 'zod'
import { ownOrganizationId, permit } from '../http/access.ts'
import { unknownToken } from '../http/auth.ts'
import { problems } from '../http/problem.ts'
import { page } from '../http/query.ts'
import { WatchedGrants, watchedOut } from '../wire/access-grant.ts'
import { grantFilter } from './access-grants.ts'
import { type App, answer, type Context, operation } from './route.ts'

const longestWait = 20
/** For what one looks for among much else. */
const longestSearch = 3
/** Between two looks. The more who wait, the longer: all of them together look 100 times a second at most. */
const pollMs = 500
const leastMsOfEach = 10
/** Between two looks at what lies behind: the search shares a connection, and a core of PostgreSQL's, with others. */
const searchPauseMs = 50

const wait = z
  .string()
  .refine((digits) => /^\d{1,2}$/.test(digits) && Number(digits) <= longestWait, `From 0 to ${longestWait}.`)
  .transform(Number)
  .default(0)
  .meta({
    type: 'integer',
    minimum: 0,
    maximum: longestWait,
    description: 'For how many seconds to wait until there is something to tell; answers at once when there is.',
  })

/** What happens to grants, as it happens. */
export const accessGrantWatchRoutes = (app: App, { lapse }: Context): void => {
  const closing = new AbortController()
  let waiting = 0
  app.addHook('preClose', async () => closing.abort())

  const { config } = permit('access-grants', 'read', 'own')
  app.get(
    '/v1/access-grants/watch',
    {
      config: { ...config, answerWithinMs: (longestWait + 6) * 1_000 },
      schema: {
        ...operation(
          'access-grants',
          'watchAccessGrants',
          'What happens to grants',
          'Expirations included; complete, in the order of their transactions. Ask again with the `cursor` of the answer; `now` begins with what comes, and without any it begins at the beginning.',
        ),
        querystring: z.strictObject({
          ...grantFilter,
          cursor: z.string().max(100).optional().describe('Of the answer before, or `now`.'),
          wait,
          limit: page.limit,
        }),
        response: { 200: answer('What has happened since, or nothing yet.', WatchedGrants), ...problems(422) },
      },
    },
    async (request) => {
      const { organization_id, wait, ...options } = request.query
      const organizationId = ownOrganizationId(request, organization_id)
      const stop = AbortSignal.any([closing.signal, ...(request.caller.signal ? [request.caller.signal] : [])])
      const begun = performance.now()
      waiting++
      try {
        for (let { cursor } = options; ; ) {
          const lookedAt = performance.now()
          const found = await lapse.accessGrants.watch({ ...options, organizationId, cursor })
          const left = begun + (found.more ? Math.max(wait, longestSearch) : wait) * 1_000 - performance.now()
          if (found.changes.length > 0 || left <= 0 || stop.aborted) {
            if (wait > 0) await refuseIfEnded(lapse, request)
            return watchedOut(found)
          }
          cursor = found.cursor
          // While it searches, as long as the look took: never more than half of the time.
          const pause = found.more
            ? Math.max(searchPauseMs, performance.now() - lookedAt)
            : Math.max(pollMs, waiting * leastMsOfEach)
          await sleepUnless(stop, Math.min(pause, left))
        }
      } finally {
        waiting--
      }
    },
  )
}

/** A token that was revoked while it waited is told nothing more. */
const refuseIfEnded = async (lapse: Lapse, { who }: FastifyRequest): Promise<void> => {
  if (who.is === 'token' && (await lapse.get(who.apiToken.id)).status !== 'active') throw unknownToken()
}

/** Ends early when the caller or the process goes; the loop looks at that itself. */
const sleepUnless = async (stop: AbortSignal, ms: number): Promise<void> => {
  try {
    await sleep(ms, undefined, { signal: stop })
  } catch (error) {
    if (!stop.aborted) throw error
  }
}
