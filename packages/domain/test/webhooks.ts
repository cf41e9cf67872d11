import type { AttemptOutcome, Kind, OwnVerbs, Told, WebhookEndpointInput } from '../src/index.ts'
import { coupon, membership, plain } from './kinds.ts'
import { minute, testDomain } from './support.ts'

export const key = 'a key for the tests of the domain alone'

/** Webhook endpoints on a database of this file's own. Call it at the top of a test file. */
export const testWebhooks = async (more: readonly Kind[] = []) => {
  const kinds = [plain, coupon, membership, ...more]
  const stage = await testDomain(kinds)
  const { domain, sql, another } = stage
  /** What the queue was told to deliver. */
  const queued: Told['owed'][number][] = []
  const verbs = domain.ownVerbs(async (changes) => {
    queued.push(...changes.flatMap((change) => change.owed))
    return true
  })
  const { webhookEndpoints: endpoints, organizations } = verbs
  return {
    ...stage,
    verbs,
    endpoints,
    queued,
    /** Another process. */
    elsewhere: (): OwnVerbs => another(kinds).ownVerbs(async () => true),
    company: () => organizations.create({ name: 'Acme' }),
    made: async (input: Partial<WebhookEndpointInput> = {}) => {
      const { endpoint, secret } = await endpoints.create({ url: 'https://example.com/hook', ...input })
      return { ...endpoint, secret }
    },
    issue: async (kind: 'plain' | 'coupon' | 'membership' = 'plain', organization?: string) =>
      (await domain.resources.issue({ kind, organization })).resource.id,
    /** What is told to an endpoint, the oldest event first. */
    told: async (endpoint: string, resource?: string) => {
      const rows = await sql<{ id: string; event: string; type: string; status: string; round: number }>(
        `SELECT d.id, d.event, e.type, d.status, d.round FROM delivery d JOIN event e ON e.id = d.event_id
        WHERE d.channel = 'webhook' AND d.target = $1 AND d.resource_id = coalesce($2, d.resource_id) ORDER BY e.id`,
        [endpoint, resource ?? null],
      )
      return rows
    },
    /** Claims it and ends the attempt. */
    attempt: async (id: string, outcome: AttemptOutcome): Promise<void> => {
      const claimed = await domain.deliveries.claim(id, minute)
      if (claimed.verdict !== 'claimed') throw new Error(`not claimed: ${JSON.stringify(claimed)}`)
      await domain.deliveries.settle(id, claimed.claim.delivery.attempt, 5, outcome)
    },
    /** What was done to it, the oldest first. */
    deeds: (id: string) =>
      sql<{
        type: string
        actor: string | null
        reason: string | null
        trigger: string
        data: Record<string, unknown>
      }>(
        `SELECT type, actor, reason, trigger, data FROM event
        WHERE resource_id = $1 AND kind = 'directory-webhook-endpoint' ORDER BY id`,
        [id],
      ),
  }
}
