import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { freePort } from './free-port.ts'
import { askRedis } from './redis.ts'
import { until } from './until.ts'

/** Why Redis refuses writes while it answers reads: the first word of its answer. */
export type Refusal = 'READONLY' | 'NOREPLICAS' | 'MISCONF' | 'OOM'

export const refusals = ['READONLY', 'NOREPLICAS', 'MISCONF', 'OOM'] as const satisfies Refusal[]

type Change = (client: Redis) => Promise<unknown>

/** Puts a Redis on this machine into a state in which it refuses writes. A cluster's master cannot be `READONLY`. */
export const refuseWrites = (url: string, refusal: Refusal): Promise<void> => change(url, entering[refusal])

/** Ends that state. */
export const acceptWrites = (url: string, refusal: Refusal): Promise<void> => change(url, leaving[refusal])

const change = async (url: string, act: Change): Promise<void> => void (await askRedis(url, act))

const entering: Record<Refusal, Change> = {
  // The primary does not exist, so the data stays as it is.
  READONLY: async (client) => client.replicaof('127.0.0.1', await freePort()),
  NOREPLICAS: (client) => client.config('SET', 'min-replicas-to-write', 1),
  MISCONF: async (client) => {
    // A directory in the place of the snapshot fails its renaming, for root too.
    mkdirSync(await snapshotOf(client))
    // Writes stop only where snapshots are configured; this one is never taken by itself.
    await client.config('SET', 'save', '86400 1000000000')
    await snapshot(client, 'err')
  },
  // A byte: less than an empty Redis needs. Nothing is evicted only where the policy is `noeviction`.
  OOM: (client) => client.config('SET', 'maxmemory', 1),
}

const leaving: Record<Refusal, Change> = {
  READONLY: (client) => client.replicaof('NO', 'ONE'),
  NOREPLICAS: (client) => client.config('SET', 'min-replicas-to-write', 0),
  MISCONF: async (client) => {
    rmSync(await snapshotOf(client), { recursive: true })
    await snapshot(client, 'ok')
    await client.config('SET', 'save', '')
  },
  OOM: (client) => client.config('SET', 'maxmemory', 0),
}

const snapshotOf = async (client: Redis): Promise<string> => {
  const setting = async (name: string) => ((await client.config('GET', name)) as string[])[1] ?? ''
  return join(await setting('dir'), await setting('dbfilename'))
}

const snapshot = async (client: Redis, status: 'ok' | 'err'): Promise<void> => {
  await client.bgsave()
  await until(
    async () => {
      const info = await client.info('persistence')
      return info.includes('rdb_bgsave_in_progress:0') && info.includes(`rdb_last_bgsave_status:${status}`)
    },
    { what: `a snapshot with the status ${status}` },
  )
}
