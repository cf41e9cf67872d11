import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterFile } from './after-file.ts'
import { freePort } from './free-port.ts'
import { askRedis, type PrivateRedis, privateRedis, spawnRedis, tlsFiles } from './redis.ts'
import { until } from './until.ts'

export interface PrivateSentinels {
  /** For REDIS_URL. */
  readonly url: string
  /** Who is the master at first. */
  readonly master: PrivateRedis
  readonly replica: PrivateRedis
  /** The address of whom the sentinels call the master. */
  masterUrl(): Promise<string>
  /** The sentinels by TLS, for whoever trusts `authority`; with `tls` alone. */
  readonly tls: { readonly url: string; readonly authority: string } | undefined
}

/**
 * A master, its replica, and three sentinels that put the one in the other's place; gone after the test file. With `tls`
 * all of them speak that, and name each other by it.
 */
export const privateSentinels = async ({ tls = false } = {}): Promise<PrivateSentinels> => {
  const files = await Promise.all(tls ? [1, 2, 3, 4, 5].map(tlsFiles) : [])
  const among = (i: number) => ({ ...files[i]?.settings, ...(tls && { 'tls-replication': 'yes' }) })
  const [master, replica] = await Promise.all([0, 1].map((i) => privateRedis({ settings: among(i) })))
  if (!master || !replica) throw new Error('There are two.')
  const host = tls ? 'localhost' : '127.0.0.1'
  const port = files[0]?.port ?? Number(new URL(master.url).port)
  await askRedis(replica.url, (client) => client.replicaof(host, port))
  await until(async () => (await askRedis(replica.url, (client) => client.info())).includes('master_link_status:up'), {
    what: 'the replica',
  })
  const ports = await Promise.all([1, 2, 3].map(freePort))
  const urlOf = (sentinel: number) => `redis://127.0.0.1:${sentinel}`
  for (const [i, sentinel] of ports.entries()) {
    const folder = mkdtempSync(join(tmpdir(), 'lapse-sentinel-'))
    const configuration = join(folder, 'sentinel.conf')
    writeFileSync(
      configuration,
      `port ${sentinel}
bind 127.0.0.1
dir ${folder}
${Object.entries(among(i + 2))
  .map(([name, value]) => `${name} ${value}`)
  .join('\n')}
sentinel resolve-hostnames ${tls ? 'yes' : 'no'}
sentinel announce-hostnames ${tls ? 'yes' : 'no'}
sentinel monitor mymaster ${host} ${port} 2
sentinel down-after-milliseconds mymaster 1000
sentinel failover-timeout mymaster 5000
`,
    )
    const server = await spawnRedis([configuration, '--sentinel'], urlOf(sentinel))
    afterFile(async () => {
      await server.end('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    })
  }
  for (const sentinel of ports)
    await until(
      async () => {
        const answer = await askRedis(urlOf(sentinel), (client) => client.call('SENTINEL', 'MASTER', 'mymaster'))
        const about = answer as string[]
        const of = (name: string) => about[about.indexOf(name) + 1]
        return of('num-other-sentinels') === '2' && of('num-slaves') === '1'
      },
      { timeout: 20_000, what: 'the sentinels' },
    )
  return {
    url: `redis+sentinel://${ports.map((sentinel) => `127.0.0.1:${sentinel}`).join(',')}/mymaster`,
    master,
    replica,
    tls: files[0] && {
      url: `rediss+sentinel://${files
        .slice(2)
        .map(({ port }) => `localhost:${port}`)
        .join(',')}/mymaster`,
      authority: files[0].authority,
    },
    masterUrl: async () => {
      const [host, at] = (await askRedis(urlOf(ports[0] ?? 0), (client) =>
        client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster'),
      )) as string[]
      return `redis://${host}:${at}`
    },
  }
}
