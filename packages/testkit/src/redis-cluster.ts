import { freePort } from './free-port.ts'
import { askRedis, type PrivateRedis, privateRedis, tlsFiles } from './redis.ts'
import { until } from './until.ts'

export interface PrivateCluster {
  /** For REDIS_URL. */
  readonly url: string
  /** In the order of their slots, of which each has the same share. */
  readonly masters: readonly PrivateRedis[]
  /** The same by TLS, for whoever trusts `authority`; with `tls` alone. */
  readonly tls: { readonly url: string; readonly authority: string } | undefined
}

const slots = 16_384

/**
 * A Redis Cluster of three masters without replicas, of the test's own; gone after the test file. With `tls` they speak
 * that as well, and among themselves.
 */
export const privateCluster = async ({ tls = false } = {}): Promise<PrivateCluster> => {
  const busPorts = await Promise.all([1, 2, 3].map(freePort))
  const files = await Promise.all(tls ? busPorts.map(tlsFiles) : [])
  const masters = await Promise.all(
    busPorts.map((port, i) =>
      privateRedis({
        settings: {
          ...(tls && files[i]?.settings),
          ...(tls && { 'tls-cluster': 'yes', 'cluster-announce-hostname': 'localhost' }),
          ...(tls && { 'cluster-preferred-endpoint-type': 'hostname' }),
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
      const first = files[0]?.port ?? portOf(masters[0])
      if (i > 0) await client.call('CLUSTER', 'MEET', '127.0.0.1', first, busPorts[0] ?? 0)
    })
  for (const { url } of masters)
    await until(
      async () => {
        const info = String(await askRedis(url, (client) => client.call('CLUSTER', 'INFO')))
        return info.includes('cluster_state:ok') && info.includes(`cluster_slots_ok:${slots}`)
      },
      { timeout: 20_000, what: 'the cluster' },
    )
  const [one] = files
  return {
    url: `redis+cluster://${masters.map((master) => `127.0.0.1:${portOf(master)}`).join(',')}`,
    masters,
    tls: one && {
      url: `rediss+cluster://${files.map(({ port }) => `localhost:${port}`).join(',')}`,
      authority: one.authority,
    },
  }
}
