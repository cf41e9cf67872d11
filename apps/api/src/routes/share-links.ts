import { HashedPassword, LapseError, type ShareLink as LapseShareLink } from 'lapse'
import { z } from 'zod'
import { boundTo, openTo, ownOrganization, ownOrganizationId, permit } from '../http/access.ts'
import { denied } from '../http/denied.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { forHost, lifetime, lifetimeOf, text, uses } from '../http/input.ts'
import { createOpen } from '../http/opening.ts'
import { problems } from '../http/problem.ts'
import { counted as countedFlag, flag, id, nextCursor, page, paged, pageOf, tally, tallyOut } from '../http/query.ts'
import { byOf, ownerOf, vouches } from '../http/who.ts'
import { statuses } from '../wire/resource.ts'
import {
  ChangedShareLink,
  changedShareLinkOut,
  IssuedShareLink,
  Shared,
  ShareLink,
  sharedOut,
  shareLinkOut,
} from '../wire/share-link.ts'
import { organization } from './resources.ts'
import { type App, answer, byId, operation, type PeopleContext } from './route.ts'
import { Reason, Renewal } from './verbs.ts'

const Create = z
  .strictObject({
    title: text(200).describe('What is shared, for whoever has opened it.'),
    url: text(2_000)
      .optional()
      .describe('Where the content is, over https: the hosted page leads there. Without it you show it yourself.')
      .meta({ format: 'uri' }),
    shared_by: text(200).optional().describe('Who shares it, for whoever has opened it.'),
    scope: text(200).optional().describe('Your own id for what is shared.'),
    subject: text(200).optional().describe('Who it is for.'),
    organization,
    max_views: uses.describe('How often it can be opened; any number without.'),
    password: text(200).optional().describe('Has to be typed to open it: 8 characters or more. It is kept hashed.'),
    ...lifetime,
  })
  .meta(
    example({
      title: 'Quarterly report',
      url: 'https://docs.example.com/quarterly',
      scope: 'document-1',
      max_views: 5,
    }),
  )

const Unlock = z
  .strictObject({
    token: text(500).describe('From the link.'),
    password: text(1_000).optional().describe('Where it asks for one.'),
    client: text(200)
      .optional()
      .describe('From the host application: who tries, so that a wrong password makes nobody else wait.'),
  })
  .meta(example({ token: 'lps_share-link_…', password: 'correct horse' }))

const Opened = z
  .object({
    pass: z.string().describe('A secret. What it is good for: `POST /v1/share-links/check`.'),
    expires_at: z.string().meta({ format: 'date-time' }).describe('Ten minutes from now, or the end of the link.'),
    link: Shared,
  })
  .meta({ id: 'OpenedShareLink', description: 'One view, counted.' })

const Check = z.strictObject({ pass: text(500) }).meta(example({ pass: 'lps_pass_…' }))

const Checked = z
  .object({ allowed: z.boolean(), link: Shared.optional(), expires_at: Opened.shape.expires_at.optional() })
  .meta({ id: 'CheckedPass', description: 'May it be viewed now?' })

const filters = {
  scope: text(200).optional(),
  subject: text(200).optional(),
  organization_id: id.optional(),
  status: z.enum(statuses).optional().describe('By the database clock, swept or not.'),
  live: flag.optional().describe('Only what is open, or only what is over.'),
  count: countedFlag,
}

/** Share links in their own words: create, unlock, check. */
export const shareLinkRoutes = (app: App, { lapse, once, redeem, limits, publicUrl }: PeopleContext): void => {
  const open = createOpen({ lapse, limits, redeem })
  const urlOf = (token: string): string =>
    new URL(`/share-links/open?token=${encodeURIComponent(token)}`, publicUrl).href

  app.post(
    '/v1/share-links',
    {
      ...permit('share-links', 'write', 'own'),
      schema: {
        ...operation(
          'share-links',
          'createShareLink',
          'Share something',
          'For 7 days unless you say otherwise. The token is shown this once.',
        ),
        headers: idempotent,
        body: Create,
        response: {
          201: answer('Created; `Location` says where.', IssuedShareLink),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { shared_by: sharedBy, max_views: maxViews, password, expires_at, expires_in, ...rest } = request.body
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf({ expires_at, expires_in })
      const organization = await ownOrganization(lapse, request, rest.organization)
      // Before the transaction that keeps the answer.
      const hashed = password === undefined ? undefined : await HashedPassword.of(password)
      const input = { ...rest, organization, sharedBy, maxViews, password: hashed, expiresAt, expiresInMs }
      let secret: string | undefined
      const created = await once(request, reply, async ({ shareLinks }) => {
        const { token, ...issued } = await shareLinks.create(input, byOf(request))
        secret = token
        return changedShareLinkOut(issued)
      })
      return reply
        .code(201)
        .header('location', `/v1/share-links/${created.id}`)
        .send({ ...created, ...(secret !== undefined && { token: secret, share_url: urlOf(secret) }) })
    },
  )

  app.get(
    '/v1/share-links',
    {
      ...permit('share-links', 'read', 'own'),
      schema: {
        ...operation('share-links', 'listShareLinks', 'List share links', 'The newest first; never their tokens.'),
        querystring: z.strictObject({ ...filters, ...page }),
        response: {
          200: answer('A page.', z.object({ items: z.array(ShareLink), next_cursor: nextCursor, ...tally })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { query } = request
      const { limit, cursor, count: counted, organization_id: asked, ...rest } = query
      const filter = { ...rest, organizationId: ownOrganizationId(request, asked), kind: 'share-link' }
      const [rows, total] = await Promise.all([
        lapse.list(filter, pageOf(query)) as Promise<LapseShareLink[]>,
        counted ? lapse.tally(filter) : undefined,
      ])
      return { ...paged(rows, query, shareLinkOut), ...tallyOut(total) }
    },
  )

  app.get(
    '/v1/share-links/:id',
    {
      ...permit('share-links', 'read', 'resource'),
      schema: {
        ...operation('share-links', 'getShareLink', 'Get a share link', 'Looking changes nothing.'),
        params: byId,
        response: { 200: answer('The share link.', ShareLink), ...problems(404) },
      },
    },
    async ({ params }) => {
      const resource = await lapse.get(params.id)
      if (resource.kind !== 'share-link') throw new LapseError('not_found')
      return shareLinkOut(resource as LapseShareLink)
    },
  )

  app.post(
    '/v1/share-links/unlock',
    {
      ...openTo('anybody', permit('share-links', 'write', 'own')),
      schema: {
        ...operation(
          'share-links',
          'unlockShareLink',
          'Open it by the token',
          'Counts one view, and gives a pass for ten minutes. A wrong password has its client wait before the next try: a second, two, four, up to a minute.',
        ),
        headers: idempotent,
        body: Unlock,
        response: { 200: answer('Opened.', Opened), ...problems(400, 403, 409, 413, 415, 422, 429), ...denied },
      },
    },
    async (request, reply) => {
      const { token, password, client } = request.body
      if (client !== undefined && !vouches(request)) throw forHost('client')
      const opening = { token, password, client: vouches(request) ? (client ?? 'the host application') : request.ip }
      const opened = await open(request, opening, (linkId) =>
        once(
          request,
          reply,
          async ({ shareLinks }) => {
            const viewed = await shareLinks.view(linkId, byOf(request))
            if (viewed.status !== 'unlocked') return { status: 'denied' as const }
            // Without the pass, which is a secret: it can be sealed again.
            const { status, link, expiresAt } = viewed
            return { status, link: sharedOut(link), expires_at: expiresAt.toISOString() }
          },
          ownerOf(request, token),
        ),
      )
      if (opened.status !== 'unlocked') throw mistakes[opened.status]()
      const { link, expires_at } = opened
      return { pass: lapse.shareLinks.passUntil(link.id, new Date(expires_at)), expires_at, link }
    },
  )

  app.post(
    '/v1/share-links/check',
    {
      ...permit('share-links', 'read', 'own'),
      schema: {
        ...operation(
          'share-links',
          'checkPass',
          'May it be viewed now?',
          'For whoever shows the content: ask each time. What ends a link ends its passes at once.',
        ),
        body: Check,
        response: { 200: answer('The verdict, either way.', Checked), ...problems(400, 413, 415, 422) },
      },
    },
    async (request) => {
      const viewing = await lapse.shareLinks.checkPass(request.body.pass)
      const bound = boundTo(request)
      if (!viewing || (bound !== undefined && viewing.link.organizationId !== bound)) return { allowed: false }
      return { allowed: true, link: sharedOut(viewing.link), expires_at: viewing.expiresAt.toISOString() }
    },
  )

  app.post(
    '/v1/share-links/:id/renew',
    {
      ...permit('share-links', 'write', 'resource'),
      schema: {
        ...operation(
          'share-links',
          'renewShareLink',
          'Give it another end',
          'A later or an earlier one, at most 90 days after it was created. What has ended cannot be renewed.',
        ),
        params: byId,
        headers: idempotent,
        body: Renewal,
        response: { 200: answer('Renewed.', ChangedShareLink), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf(body)
      return once(request, reply, async ({ shareLinks }) =>
        changedShareLinkOut(await shareLinks.renew(params.id, { expiresAt, expiresInMs }, byOf(request, body.reason))),
      )
    },
  )

  app.post(
    '/v1/share-links/:id/revoke',
    {
      ...permit('share-links', 'write', 'resource'),
      schema: {
        ...operation(
          'share-links',
          'revokeShareLink',
          'Stop sharing it',
          'At once, for who has opened it too; quiet when it has ended already.',
        ),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: {
          200: answer('Ended; `status` says how.', ChangedShareLink),
          ...problems(400, 404, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async (verbs) => {
        const { timer, ...link } = await verbs.revoke('share-link', params.id, byOf(request, body?.reason))
        return changedShareLinkOut({ link: link as LapseShareLink, timer })
      })
    },
  )
}

const mistakes = {
  'password-required': () => new LapseError('password_required', { field: 'password', detail: 'Send it along.' }),
  'wrong-password': () =>
    new LapseError('wrong_password', { field: 'password', detail: 'Mind its upper and lower case.' }),
}
