import { LapseError, type PromoCode as LapsePromoCode } from 'lapse'
import { z } from 'zod'
import { ownOrganization, ownOrganizationId, permit } from '../http/access.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { lifetime, lifetimeOf, payload, start, startOf, text, uses } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import {
  counted as countedFlag,
  flag,
  id,
  nextCursor,
  page,
  paged,
  pageOf,
  pageOfTexts,
  tally,
  tallyOut,
} from '../http/query.ts'
import { byOf } from '../http/who.ts'
import {
  ChangedPromoCode,
  changedPromoCodeOut,
  PromoCode,
  promoCodeOut,
  Redeemable,
  Redeemed,
  Redemption,
  redemptionOut,
  verdictOut,
} from '../wire/promo-code.ts'
import { statuses } from '../wire/resource.ts'
import { organization } from './resources.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'
import { Reason, Renewal } from './verbs.ts'

const Create = z
  .strictObject({
    code: text(32)
      .optional()
      .describe('Of your own choice: 4 to 32 letters, digits and dashes. Without it one is made up.'),
    description: text(500).optional(),
    benefit: payload.optional().describe('What it gives: any JSON object of at most 16 KiB.'),
    organization,
    max_uses: uses.describe('How often it can be redeemed in all; any number without.'),
    max_uses_each: uses
      .nullable()
      .describe('How often each holder may: once unless you say otherwise; `null`: as often as anybody.'),
    ...start,
    ...lifetime,
  })
  .meta(example({ code: 'SUMMER-26', benefit: { percent: 20 }, max_uses: 1000, expires_in: 2_592_000 }))

const typed = {
  code: text(100).describe('As somebody typed it.'),
  organization: text(200).optional().describe('Whose code it is, by its id or your own for it; nobody’s without.'),
}

const Check = z
  .strictObject({ ...typed, holder: text(200).optional().describe('Your own id for whoever would redeem it.') })
  .meta(example({ code: 'summer 26', holder: 'user-1' }))

const Redeem = z
  .strictObject({ ...typed, holder: text(200).describe('Your own id for whoever redeems it.') })
  .meta(example({ code: 'summer 26', holder: 'user-1' }))

const filters = {
  code: text(100).optional().describe('However it is typed.'),
  organization_id: id.optional(),
  status: z.enum(statuses).optional().describe('By the database clock, swept or not.'),
  live: flag.optional().describe('Only what may be redeemed now, or only what may not.'),
  count: countedFlag,
}

/** Promo codes in their own words: create, check, redeem. */
export const promoCodeRoutes = (app: App, { lapse, once }: Context): void => {
  const promoCodeOf = async (id: string): Promise<LapsePromoCode> => {
    const resource = await lapse.get(id)
    if (resource.kind !== 'promo-code') throw new LapseError('not_found')
    return resource as LapsePromoCode
  }

  app.post(
    '/v1/promo-codes',
    {
      ...permit('promo-codes', 'write', 'own'),
      schema: {
        ...operation(
          'promo-codes',
          'createPromoCode',
          'Create a promo code',
          'For 30 days unless you say otherwise, and once for each holder. One live code that people take for the same.',
        ),
        headers: idempotent,
        body: Create,
        response: {
          201: answer('Created; `Location` says where.', ChangedPromoCode),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { max_uses: maxUses, max_uses_each: maxUsesEach, ...body } = request.body
      const { code, description, benefit, ...when } = body
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf(when)
      const { startsAt, startsIn: startsInMs } = startOf(when)
      const organization = await ownOrganization(lapse, request, body.organization)
      const input = { code, description, benefit, organization, maxUses, maxUsesEach }
      const created = await once(request, reply, async ({ promoCodes }) =>
        changedPromoCodeOut(
          await promoCodes.create({ ...input, startsAt, startsInMs, expiresAt, expiresInMs }, byOf(request)),
        ),
      )
      return reply.code(201).header('location', `/v1/promo-codes/${created.id}`).send(created)
    },
  )

  app.get(
    '/v1/promo-codes',
    {
      ...permit('promo-codes', 'read', 'own'),
      schema: {
        ...operation('promo-codes', 'listPromoCodes', 'List promo codes', 'The newest first.'),
        querystring: z.strictObject({ ...filters, ...page }),
        response: {
          200: answer('A page.', z.object({ items: z.array(PromoCode), next_cursor: nextCursor, ...tally })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { query } = request
      const { limit, cursor, count: counted, organization_id: asked, code, ...rest } = query
      const organizationId = ownOrganizationId(request, asked)
      const reference = code === undefined ? undefined : lapse.promoCodes.referenceOf({ code, organizationId })
      const filter = { ...rest, organizationId, reference, kind: 'promo-code' }
      const [rows, total] = await Promise.all([
        lapse.list(filter, pageOf(query)) as Promise<LapsePromoCode[]>,
        counted ? lapse.tally(filter) : undefined,
      ])
      return { ...paged(rows, query, promoCodeOut), ...tallyOut(total) }
    },
  )

  app.get(
    '/v1/promo-codes/:id',
    {
      ...permit('promo-codes', 'read', 'resource'),
      schema: {
        ...operation('promo-codes', 'getPromoCode', 'Get a promo code', 'Looking changes nothing.'),
        params: byId,
        response: { 200: answer('The promo code.', PromoCode), ...problems(404) },
      },
    },
    async ({ params }) => promoCodeOut(await promoCodeOf(params.id)),
  )

  app.get(
    '/v1/promo-codes/:id/redemptions',
    {
      ...permit('promo-codes', 'read', 'resource'),
      schema: {
        ...operation('promo-codes', 'listRedemptions', 'Who has redeemed it', 'By holder.'),
        params: byId,
        querystring: z.strictObject(pageOfTexts),
        response: {
          200: answer('A page.', z.object({ items: z.array(Redemption), next_cursor: nextCursor })),
          ...problems(404, 422),
        },
      },
    },
    async ({ params, query }) => {
      const { id } = await promoCodeOf(params.id)
      const { before: after, limit } = pageOf(query)
      const rows = await lapse.promoCodes.redemptions(id, { after, limit })
      return paged(
        rows.map((row) => ({ ...row, id: row.holder })),
        query,
        redemptionOut,
      )
    },
  )

  app.post(
    '/v1/promo-codes/check',
    {
      ...permit('promo-codes', 'read', 'own'),
      schema: {
        ...operation(
          'promo-codes',
          'checkPromoCode',
          'May it be redeemed now?',
          'In all, and by this holder when you name one. Counts nothing.',
        ),
        body: Check,
        response: { 200: answer('The verdict, either way.', Redeemable), ...problems(400, 413, 415, 422) },
      },
    },
    async (request) => {
      const organization = await ownOrganization(lapse, request, request.body.organization)
      const { redeemable, ...verdict } = await lapse.promoCodes.check({ ...request.body, organization })
      return { redeemable, ...verdictOut(verdict) }
    },
  )

  app.post(
    '/v1/promo-codes/redeem',
    {
      ...permit('promo-codes', 'write', 'own'),
      schema: {
        ...operation(
          'promo-codes',
          'redeemPromoCode',
          'Redeem it',
          'Counts one use of this holder, if one is left for them and in all. Send an Idempotency-Key, so that a request that is repeated counts once.',
        ),
        headers: idempotent,
        body: Redeem,
        response: { 200: answer('The verdict, either way.', Redeemed), ...problems(400, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const organization = await ownOrganization(lapse, request, request.body.organization)
      return once(request, reply, async ({ promoCodes }) => {
        const { redeemed, ...verdict } = await promoCodes.redeem({ ...request.body, organization }, byOf(request))
        return { redeemed, ...verdictOut(verdict) }
      })
    },
  )

  app.post(
    '/v1/promo-codes/:id/renew',
    {
      ...permit('promo-codes', 'write', 'resource'),
      schema: {
        ...operation(
          'promo-codes',
          'renewPromoCode',
          'Give it another end',
          'A later or an earlier one, at most 365 days after it was created. What has ended cannot be renewed.',
        ),
        params: byId,
        headers: idempotent,
        body: Renewal,
        response: { 200: answer('Renewed.', ChangedPromoCode), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf(body)
      return once(request, reply, async ({ promoCodes }) =>
        changedPromoCodeOut(await promoCodes.renew(params.id, { expiresAt, expiresInMs }, byOf(request, body.reason))),
      )
    },
  )

  app.post(
    '/v1/promo-codes/:id/revoke',
    {
      ...permit('promo-codes', 'write', 'resource'),
      schema: {
        ...operation(
          'promo-codes',
          'revokePromoCode',
          'Withdraw it',
          'It ends at once; quiet when it has ended already.',
        ),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: {
          200: answer('Ended; `status` says how.', ChangedPromoCode),
          ...problems(400, 404, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async (verbs) => {
        const { timer, ...promoCode } = await verbs.revoke('promo-code', params.id, byOf(request, body?.reason))
        return changedPromoCodeOut({ promoCode: promoCode as LapsePromoCode, timer })
      })
    },
  )
}
