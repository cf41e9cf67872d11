import type { Client } from './client.ts'
import type { Final, FinalDelivery, FinalEvent, FinalResource, KindName } from './history.ts'
import { ask, type Stage } from './stage.ts'
import { nameOf, ways } from './ways.ts'

/** An attempt whose process died may be made again only when its lease is over: of a minute, or 65 s once it was sent. */
const patienceMs = 100_000

/** Every page of a list, as whoever may look at everything reads it. */
// biome-ignore lint/suspicious/noExplicitAny: each list has items of its own.
const all = async (client: Client, path: string): Promise<any[]> => {
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  const items: any[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const separator = path.includes('?') ? '&' : '?'
    const page = await client.ask('GET', `${path}${separator}limit=200${cursor && `&cursor=${cursor}`}`)
    if (page?.status !== 200) throw new Error(`GET ${path} answered ${JSON.stringify(page)}`)
    items.push(...page.body.items)
    cursor = page.body.next_cursor
  }
  return items
}

/** Waits, when all faults are over, until nothing is under way any more; what waits for its next try is tried now. */
export const settle = async ({ client }: Stage): Promise<void> => {
  for (const deadline = performance.now() + patienceMs; performance.now() < deadline; ) {
    const [live, pending, failed] = await Promise.all([
      client.ask('GET', '/v1/resources?live=true&limit=1'),
      client.ask('GET', '/v1/deliveries?status=pending&limit=1'),
      client.ask('GET', '/v1/deliveries?status=failed&limit=200'),
    ])
    const waiting = [live, pending, failed].map((answer) => answer?.body.items?.length ?? 1)
    if (waiting.every((count) => count === 0)) return
    for (const { id } of failed?.body.items ?? []) await client.ask('POST', `/v1/deliveries/${id}/retry`)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
}

const ours = new Set<string>(Object.keys(ways) satisfies string[] as KindName[])

/** What everybody can read in the end. */
export const readFinal = async ({ client, services, time }: Stage): Promise<Final> => {
  const at = time.now()
  const [resources, events, deliveries, users, members, { rows: givenBack }] = await Promise.all([
    all(client, '/v1/resources'),
    all(client, '/v1/events'),
    all(client, '/v1/deliveries'),
    all(client, '/v1/users'),
    all(client, '/v1/memberships'),
    ask(services.postgres.ownerUrl, 'SELECT resource_id::text AS id FROM chaos_given_back'),
  ])
  const nameOfUser = new Map(users.map(({ id, email }) => [id, email.replace(/@.*/, '')]))
  return {
    at,
    joined: members.map(({ user_id }) => nameOfUser.get(user_id)),
    resources: resources
      .filter(({ kind }) => ours.has(kind))
      .map(
        (one): FinalResource => ({
          ...{
            id: one.id,
            kind: one.kind,
            life: nameOf(one),
            status: one.status,
            version: one.version,
            uses: one.uses,
          },
          endsAt: Date.parse(one.ends_at),
        }),
      ),
    events: events.map(
      (one): FinalEvent => ({
        ...{ id: one.id, resourceId: one.resource_id, type: one.type, version: one.version, trigger: one.trigger },
        at: Date.parse(one.at),
        latenessMs: one.lateness_ms,
      }),
    ),
    deliveries: deliveries.map(
      (one): FinalDelivery => ({
        ...{ id: one.id, resourceId: one.resource_id, channel: one.channel, status: one.status },
        event: one.event.split(':')[0],
        lastError: one.last_error,
      }),
    ),
    givenBack: givenBack.map(({ id }) => id),
  }
}
