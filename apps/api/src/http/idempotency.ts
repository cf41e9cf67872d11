import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { asCaller, type Kind, type Lapse, type TimerState, type Verbs } from 'lapse'
import { z } from 'zod'
import { ownerOf } from './who.ts'

/** The header of every POST that changes a resource. */
export const idempotent = z.looseObject({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'Use 1 to 255 visible ASCII characters.')
    .optional()
    .describe(
      'The same request with the same key is done once, and answered again alike for a day, with `Idempotent-Replayed: true`.',
    ),
})

/**
 * Acts once for each key, when one is given. A refusal is not kept: what was refused may be asked again.
 *
 * Each caller has keys of their own: `root` are those of the root token, and `owner` says it of nobody. What `act` answers
 * is kept, so no secret may be in it.
 */
export const createOnce =
  (lapse: Lapse, root: string) =>
  async <T extends object>(
    request: FastifyRequest,
    reply: FastifyReply,
    act: (verbs: Verbs<Kind>) => Promise<T>,
    owner: string = ownerOf(request) ?? root,
  ): Promise<T> => {
    const { 'idempotency-key': key } = request.headers
    if (typeof key !== 'string') return act(lapse)
    const { id: locks } = (request.params ?? {}) as { id?: string }
    const once = { owner, key, fingerprint: fingerprintOf(request), locks }
    // Not given up with the request: its result is there for whoever asks again.
    const doing = asCaller({ signal: undefined }, () => lapse.once(once, act, withTimer))
    request.holdUntil?.(doing)
    const { answer, replayed } = await doing
    if (replayed) reply.header('idempotent-replayed', 'true')
    return answer
  }

export type Once = ReturnType<typeof createOnce>

const fingerprintOf = ({ method, routeOptions, params, body }: FastifyRequest): string =>
  createHash('sha256')
    .update(canonical([method, routeOptions.url, params, withoutSecrets(body)]))
    .digest('hex')

/** From a plain hash of all the rest with it, a password could be guessed, and what a header carries. */
const withoutSecrets = (body: unknown): unknown => {
  if (typeof body !== 'object' || body === null) return body ?? null
  const { password, headers } = body as { password?: unknown; headers?: unknown }
  return {
    ...body,
    ...(password !== undefined && { password: null }),
    ...(typeof headers === 'object' && headers !== null && { headers: Object.keys(headers).sort() }),
  }
}

/** The same text for the same data, whatever the order of the keys. */
const canonical = (data: unknown): string =>
  JSON.stringify(data, (_, value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )

/** Timers are armed after the commit, and the answer was written before it. */
const withTimer = <T extends object>(answer: T, timer: TimerState): T => {
  if ('timer' in answer) return { ...answer, timer }
  if ('items' in answer && Array.isArray(answer.items))
    return { ...answer, items: answer.items.map((item: object) => ({ ...item, timer })) }
  return answer
}
