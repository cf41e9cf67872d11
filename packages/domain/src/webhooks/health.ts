import type { Database, Sql } from '../database.ts'
import { durationMs } from '../kind.ts'
import { type AttemptOutcome, completeDelivery } from '../outbox/complete.ts'
import { type Notice, oweNotice } from '../outbox/notice.ts'
import { milliseconds, now, sql } from '../store/live.ts'
import { originOf, type WebhookEndpoint } from './endpoint.ts'
import { disableEndpoint } from './endpoint-store.ts'

/** Whose every attempt has failed for so long is not there any more. */
const longestFailure = milliseconds(durationMs('5d'))

/**
 * Writes down how an attempt ended, and in the same commit what it says of the endpoint that was tried. A success is one
 * statement, and so is what we failed at ourselves. `operator`: who is told of endpoints that nobody else answers for.
 */
export const settleAttempt = async (
  database: Database,
  operator: string | undefined,
  about: readonly [id: string, attempt: number, durationMs: number, outcome: AttemptOutcome],
): Promise<void> => {
  const outcome = about[3]
  if (outcome.status === 'sent' || outcome.status === 'interrupted' || ('ours' in outcome && outcome.ours))
    return void (await completeDelivery(database, ...about))
  await database.transaction(async (tx) => {
    const tried = await completeDelivery(tx, ...about)
    if (tried?.channel === 'webhook') await heedFailure(tx, tried.target, outcome.code, operator)
  })
}

/**
 * It fails from now on, unless it has before. An endpoint that says that it is gone, or has failed for five days, is
 * disabled, and whoever answers for it is told: once, whatever number of attempts find it so.
 */
const heedFailure = async (tx: Sql, id: string, code: number | undefined, operator: string | undefined) => {
  await tx.$executeRaw(sql`
    UPDATE webhook_endpoint SET failing_since = ${now}
    WHERE id = ${id}::uuid AND status = 'enabled' AND failing_since IS NULL`)
  const gone = code === 410
  const reason = gone ? 'it answered 410 Gone' : 'it has failed for five days'
  const deed = { type: 'disabled', cause: { trigger: 'job', reason }, data: {} } as const
  const guard = gone ? undefined : sql`AND failing_since <= ${now} - ${longestFailure}`
  const disabled = await disableEndpoint(tx, id, reason, deed, guard)
  const to = disabled?.contact ?? operator
  if (disabled && to !== undefined)
    await oweNotice(tx, disabledNotice(disabled), [
      { channel: 'email', target: to, organizationId: disabled.organizationId },
    ])
}

const disabledNotice = (endpoint: WebhookEndpoint): Notice => {
  const { id, description, disabledReason, failingSince, disabledAt } = endpoint
  const name = `${originOf(endpoint)}${description === null ? '' : ` (${description})`}`
  const since = (failingSince ?? disabledAt)?.toISOString()
  return {
    type: 'lapse.endpoint.disabled',
    data: { endpoint_id: id, reason: disabledReason },
    letter: {
      subject: `Webhooks to ${originOf(endpoint)} have stopped`,
      lines: [
        `Nothing is sent to your webhook endpoint ${name} any more: ${disabledReason}.`,
        `When it works again, enable it: POST /v1/webhook-endpoints/${id}/enable.`,
        `Then have what it has missed sent to it: POST /v1/webhook-endpoints/${id}/replay with {"since": "${since}"}.`,
      ],
    },
  }
}
