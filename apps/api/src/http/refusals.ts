import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import type { App } from '../routes/route.ts'
import { clientOf } from './limits.ts'

/** Refusals of one caller go out so far apart. */
const everyMs = 25

/** No refusal is held longer. After the longest wait for a turn it is still in time: see `answerMs`. */
const mostMs = 2_000

/**
 * Makes whoever asks too often wait for each refusal. A client that asks again at once, whatever `Retry-After` says, would be
 * refused as fast as both sides can, and everybody else's requests would stand behind those refusals. The first of a caller is
 * answered at once.
 */
export const paceRefusals = (app: App): void => {
  /** When the next refusal of each caller may go out. */
  const nextAt = new Map<string, number>()

  const turn = async (caller: string): Promise<void> => {
    const now = performance.now()
    const at = Math.min(Math.max(nextAt.get(caller) ?? now, now), now + mostMs)
    const next = at + everyMs
    nextAt.set(caller, next)
    setTimeout(() => nextAt.get(caller) === next && nextAt.delete(caller), next - now).unref()
    if (at > now) await sleep(at - now)
  }

  app.addHook('onSend', async (request, reply) => {
    if (reply.statusCode === 429) await turn(callerOf(request))
  })
}

/** Whoever is known by now. */
const callerOf = ({ who, ip }: FastifyRequest): string => {
  if (who?.is === 'root') return 'root'
  if (who?.is === 'token') return who.apiToken.organizationId ?? who.apiToken.id
  if (who?.is === 'user') return who.user.id
  return clientOf(ip)
}
