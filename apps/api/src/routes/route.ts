import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Lapse } from 'lapse'
import { z } from 'zod'
import type { Once } from '../http/idempotency.ts'
import type { Limits } from '../http/limits.ts'
import type { Mail } from '../http/mailing.ts'
import type { Redeem } from '../http/redemption.ts'
import type { Metrics } from '../metrics.ts'

export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>

/** What every route of /v1 works with. */
export interface Context {
  readonly lapse: Lapse
  readonly once: Once
}

/** What the routes of people work with besides. */
export interface PeopleContext extends Context {
  readonly redeem: Redeem
  readonly mail: Mail
  readonly limits: Limits
  readonly metrics: Metrics
  /** Where the hosted pages are. */
  readonly publicUrl: string
}

/** What a caller of /v1 is told about an operation. */
export const operation = (tag: string, operationId: string, summary: string, description?: string) => ({
  tags: [tag],
  operationId,
  summary,
  ...(description && { description }),
})

/** A response with its description. */
export const answer = (description: string, schema: z.ZodType) => ({
  description,
  content: { 'application/json': { schema } },
})

/** A malformed id belongs to nothing, as an unknown one does. */
export const byId = z.strictObject({ id: z.string().meta({ format: 'uuid' }) })

export const byName = z.strictObject({ id: z.string().describe('Its id, or your own for it, URL-encoded.') })
