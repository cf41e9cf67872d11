import { availableParallelism } from 'node:os'
import type { FastifyRequest, RouteOptions } from 'fastify'
import type { Metrics } from '../metrics.ts'
import type { App } from '../routes/route.ts'
import { clientOf } from './limits.ts'
import { HttpError } from './problem.ts'
import { Full, Semaphore } from './semaphore.ts'

/**
 * What a request costs. `heavy`: lists, counts and writes of many rows, which keep a core of PostgreSQL's busy. `wait`: long polls and
 * streams, which last. `light`: all others.
 */
export type Cost = 'light' | 'heavy' | 'wait'

declare module 'fastify' {
  interface FastifyContextConfig {
    cost?: Cost
  }
  interface FastifyRequest {
    /** What it holds until it is answered and until these are done. */
    holdUntil?: (done: Promise<unknown>) => void
  }
}

/** Half of the cores: one organization's heavy requests leave the other half to everybody else. */
const heavyAtOnce = Math.max(1, Math.floor(availableParallelism() / 2))

/** Longer would not be answered in time. */
const patienceMs = 3_000

/** So many at once in this process, and so many more that wait for their turn; the next are refused. */
const bounds = {
  light: {
    root: { running: 500, waiting: 500 },
    token: { running: 50, waiting: 50 },
    organization: { running: 100, waiting: 100 },
  },
  heavy: {
    root: { running: 4 * heavyAtOnce, waiting: 100 },
    token: { running: heavyAtOnce, waiting: 20 },
    organization: { running: heavyAtOnce, waiting: 20 },
  },
  wait: {
    root: { running: 100, waiting: 0 },
    token: { running: 10, waiting: 0 },
    organization: { running: 30, waiting: 0 },
  },
} as const

type Whose = keyof (typeof bounds)[Cost]

/** Long polls and streams of this process, whoever asks. */
const mostWaits = 300

/** Writes of many rows. Reads are told apart by their form: see `costOf`. */
const heavyWrites = new Set([
  'POST /v1/resources/bulk',
  'POST /v1/resources/bulk/renew',
  'POST /v1/resources/bulk/revoke',
  'POST /v1/access-grants/write',
  'POST /v1/access-grants/import',
  'POST /v1/access-grants/delete',
  'POST /v1/deliveries/retry',
  'POST /v1/sessions/revoke',
  'POST /v1/webhook-endpoints/:id/replay',
  'POST /v1/webhook-endpoints/:id/disable',
  'DELETE /v1/webhook-endpoints/:id',
  'POST /v1/organizations/:id/suspend',
  'POST /v1/organizations/:id/restore',
  'DELETE /v1/organizations/:id',
  'DELETE /v1/users/:id',
])

/** All or nothing takes its time, and would never be done if it were given up after seconds. Statements have their own limits. */
const heavyWriteMs = 60_000

/** They read one thing, although no id is in their address. */
const lightReads = new Set(['/v1/sessions/current'])
const waits = new Set(['/v1/access-grants/watch', '/v1/access-grants/export'])

/** A list has no id at the end of its address: a new one is heavy without being named here. */
export const costOf = ({ method, url }: Pick<RouteOptions, 'method' | 'url'>): Cost => {
  if (waits.has(url)) return 'wait'
  const reads = [method].flat().some((one) => one === 'GET' || one === 'HEAD')
  if (reads) return url.endsWith('/:id') || lightReads.has(url) ? 'light' : 'heavy'
  return heavyWrites.has(`${method} ${url}`) ? 'heavy' : 'light'
}

/** Who asks, by what their requests are counted together, the widest last. */
const callersOf = ({ who, ip }: FastifyRequest): readonly (readonly [Whose, string])[] => {
  if (who.is === 'root') return [['root', 'root']]
  if (who.is === 'user') return [['token', `user ${who.user.id}`]]
  if (who.is === 'nobody') return [['token', `client ${clientOf(ip)}`]]
  const { id, organizationId } = who.apiToken
  return [['token', id], ...(organizationId === null ? [] : [['organization', organizationId] as const])]
}

/**
 * Bounds what one token and one organization have under way at once, each process for itself, and names the owner by whom
 * connections to PostgreSQL are shared. Comes after `knowWho`.
 */
export const boundConcurrency = (metrics: Metrics) => {
  const semaphores = Object.fromEntries(
    Object.entries(bounds).map(([cost, of]) => [
      cost,
      Object.fromEntries(Object.entries(of).map(([whose, bound]) => [whose, new Semaphore(bound)])),
    ]),
  ) as Record<Cost, Record<Whose, Semaphore>>
  const allWaits = new Semaphore({ running: mostWaits, waiting: 0 })

  const enter = async (request: FastifyRequest, held: (() => void)[]): Promise<void> => {
    const { cost = 'light' } = request.routeOptions.config
    const callers = callersOf(request)
    const wait = { patienceMs, signal: request.caller.signal }
    for (const [whose, key] of callers) held.push(await semaphores[cost][whose].enter(key, wait))
    if (cost === 'wait') held.push(await allWaits.enter('all', wait))
    const [whose, owner] = callers.at(-1) ?? []
    // The host application acts for all of its organizations.
    if (whose !== 'root') request.caller = { ...request.caller, owner }
  }

  return (scope: App): void => {
    scope.addHook('onRoute', (route) => {
      const writesMany = heavyWrites.has(`${route.method} ${route.url}`)
      route.config = { ...route.config, cost: costOf(route), ...(writesMany && { answerWithinMs: heavyWriteMs }) }
    })
    scope.addHook('onRequest', async (request, reply) => {
      const held: (() => void)[] = []
      const working: Promise<unknown>[] = []
      const leave = async () => {
        await Promise.allSettled(working)
        for (const leaveOne of held) leaveOne()
      }
      request.holdUntil = (done) => void working.push(done)
      try {
        await enter(request, held)
        // A client may have gone while this waited.
        if (reply.raw.closed) void leave()
        else reply.raw.once('close', () => void leave())
      } catch (error) {
        await leave()
        if (!(error instanceof Full)) throw error
        metrics.limited(`concurrent-${request.routeOptions.config.cost}`)
        throw tooManyAtOnce()
      }
    })
  }
}

const tooManyAtOnce = () =>
  new HttpError('too_many', {
    detail: 'Too many requests of this token, or of its organization, are under way. Send fewer at once.',
    headers: { 'retry-after': '1' },
  })
