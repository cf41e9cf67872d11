import { Bulk } from './bulk.ts'
import { HttpCalls } from './calls/http-calls.ts'
import { AccessGrants } from './grants/access-grants.ts'
import type { Ground } from './ground.ts'
import { ApiTokens } from './machines/api-tokens.ts'
import { peopleOn } from './people/people.ts'
import { productsOn } from './products/products.ts'
import { WebhookEndpoints } from './webhooks/endpoints.ts'

/** The directory, and the kinds that have verbs of their own, in their users' words. */
export const ownVerbsOn = (ground: Ground) => ({
  ...peopleOn(ground),
  ...productsOn(ground),
  apiTokens: new ApiTokens(ground),
  accessGrants: new AccessGrants(ground),
  httpCalls: new HttpCalls(ground),
  webhookEndpoints: new WebhookEndpoints(ground),
  bulk: new Bulk(ground),
})

export type OwnVerbs = ReturnType<typeof ownVerbsOn>
