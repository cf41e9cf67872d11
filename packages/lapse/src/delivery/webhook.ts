import { createHmac } from 'node:crypto'
import { type Claim, type Domain, GiveUp } from '@lapse/domain'
import { excerpt, secretsIn } from '../outbound/answer.ts'
import type { Caller } from '../outbound/call.ts'
import { answered, type Sender } from './sender.ts'

/** Tells an endpoint, signed as Standard Webhooks has it: https://www.standardwebhooks.com. */
export const webhookSender =
  (domain: Domain, call: Caller): Sender =>
  async (claim, { signal, beforeLastByte }) => {
    const { id, target, startedAt, share } = claim.delivery
    const endpoint = await domain.endpoints.forSending(target)
    if (!endpoint) throw new GiveUp('Its endpoint has been deleted.')
    const { organizationId, url, secrets, headers } = endpoint
    const body = JSON.stringify(messageOf(domain, claim))
    const timestamp = String(Math.floor(startedAt.getTime() / 1_000))
    const called = await call({
      organizationId,
      url,
      method: 'POST',
      headers: {
        ...headers,
        'Content-Type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': secrets.map((secret) => signature(secret, `${id}.${timestamp}.${body}`)).join(' '),
      },
      body,
      signal,
      share,
      beforeLastByte,
    })
    const answer = excerpt(called.text, [...secrets, ...secrets.map(keyOf), ...secretsIn(headers)])
    // Whatever else it says, it may be mended within days; but this means that it is gone for good.
    return answered(called, answer, { isFinal: (status) => status === 410 })
  }

const keyOf = (secret: string): string => secret.replace(/^whsec_/, '')

const signature = (secret: string, text: string): string =>
  `v1,${createHmac('sha256', Buffer.from(keyOf(secret), 'base64'))
    .update(text)
    .digest('base64')}`

/** Thin: no payload and no secret, for those who want more can ask. */
const messageOf = (domain: Domain, { about, delivery }: Claim) => {
  if ('notice' in about) return { type: about.notice.type, timestamp: delivery.createdAt, data: about.notice.data }
  const { row, event } = about
  const resource = domain.seen(row)
  const confidential = domain.registry.find(row.kind)?.confidential ?? []
  return {
    type: `${resource.kind}.${event.type}`,
    timestamp: event.at,
    data: {
      event: {
        id: event.id,
        type: event.type,
        at: event.at,
        from: event.from,
        to: event.to,
        version: event.version,
        trigger: event.trigger,
      },
      resource: {
        id: resource.id,
        kind: resource.kind,
        status: resource.status,
        word: resource.word,
        ...(!confidential.includes('reference') && { reference: resource.reference }),
        scope: resource.scope,
        organization_id: resource.organizationId,
        ...(!confidential.includes('subject') && { subject: resource.subject }),
        version: resource.version,
        issued_at: resource.issuedAt,
        expires_at: resource.expiresAt,
        ends_at: resource.endsAt,
        ended_at: resource.endedAt,
      },
    },
  }
}
