import { freePort } from './free-port.ts'
import { askRedis, type PrivateRedis, privateRedis } from './redis.ts'
import { until } from './until.ts'

export interface PrivateCluster {
  /** For REDIS_URL. */
  readonly url: string
  /** In the order of their slots, of which each has the same share. */
  readonly masters: readonly PrivateRedis[]
}

const slots = 16_384

/** A Redis Cluster of three masters without replicas, of the test's own; gone after the test file. */
export const privateCluster = async ({ appendonly = false } = {}): Promise<PrivateCluster> => {
  const busPorts = await Promise.all([1, 2, 3].map(freePort))
  const masters = await Promise.all(
    busPorts.map((port) =>
      privateRedis({
        appendonly,
        settings: {
          'cluster-enabled': 'yes',
          'cluster-port': String(port),
          'cluster-node-timeout': '1000',
          'cluster-require-full-coverage': 'no',
        },
      }),
    ),
  )
  const portOf = (master: PrivateRedis | undefined) => Number(new URL(master?.url ?? '').port)
  const share = slots / masters.length
  for (const [i, { url }] of masters.entries())
    await askRedis(url, async (client) => {
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
      await client.call('CLUSTER', 'ADDSLOTSRANGE', Math.ceil(i * share), Math.ceil((i + 1) * share) - 1)
      if (i > 0) await client.call('CLUSTER', 'MEET', '127.0.0.1', portOf(masters[0]), busPorts[0] ?? 0)
    })
  for (const { url } of masters)
    await until(
      async () => {
        const info = String(await askRedis(url, (client) => client.call('CLUSTER', 'INFO')))
        return info.includes('cluster_state:ok') && info.includes(`cluster_slots_ok:${slots}`)
      },
      { timeout: 20_000, what: 'the cluster' },
    )
  return { url: `redis+cluster://${masters.map((master) => `127.0.0.1:${portOf(master)}`).join(',')}`, masters }
}
