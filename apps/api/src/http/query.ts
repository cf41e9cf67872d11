import { z } from 'zod'

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** `true` or `false`. */
export const flag = z.enum(['true', 'false']).transform((value) => value === 'true')

export const id = z.string().regex(uuid, 'That is not an id').meta({ format: 'uuid' })

/** Where a page begins: the last id of the page before, so that nobody builds on what is in it. */
const cursor = (isId: RegExp) =>
  z
    .string()
    .transform((value, context) => {
      const last = Buffer.from(value, 'base64url').toString()
      if (isId.test(last)) return last
      context.addIssue('Take next_cursor from the page before.')
      return z.NEVER
    })
    .optional()
    .describe('`next_cursor` of the page before.')

const limit = z
  .string()
  .refine((digits) => /^\d{1,3}$/.test(digits) && Number(digits) >= 1 && Number(digits) <= 200, 'From 1 to 200.')
  .transform(Number)
  .optional()
  .meta({ type: 'integer', minimum: 1, maximum: 200, description: '50 unless said otherwise.' })

export const page = { limit, cursor: cursor(uuid) }
export const pageOfTexts = { limit, cursor: cursor(/^[^\0]{1,500}$/s) }
export const pageOfNumbers = { limit, cursor: cursor(/^\d{1,18}$/) }

/** One more than is shown, to know whether there are more. */
export const pageOf = (query: { limit?: number | undefined; cursor?: string | undefined }) => ({
  limit: (query.limit ?? 50) + 1,
  before: query.cursor,
})

export const nextCursor = z.string().nullable().describe('`null` on the last page.')

/** Cuts off what was read too much. */
export const paged = <T extends { readonly id: string }, Out>(
  rows: readonly T[],
  query: { limit?: number | undefined },
  show: (row: T) => Out,
) => {
  const shown = rows.slice(0, query.limit ?? 50)
  const last = shown.length < rows.length ? shown.at(-1) : undefined
  return { items: shown.map(show), next_cursor: last ? Buffer.from(last.id).toString('base64url') : null }
}

/** Asks for the number besides. */
export const counted = flag.optional().describe('Adds `count`: how many match in all, as far as 5,000 rows tell.')

/** What that adds to a page. */
export const tally = {
  count: z.int().optional().describe('With `count=true`.'),
  at_least: z
    .literal(true)
    .optional()
    .describe('There may be more than `count`: 5,000 rows are looked at and no more.'),
}

export const tallyOut = (tally: { readonly count: number; readonly atLeast: boolean } | undefined) =>
  tally && { count: tally.count, ...(tally.atLeast && { at_least: true as const }) }
