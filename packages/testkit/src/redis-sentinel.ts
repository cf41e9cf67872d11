import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterFile } from './after-file.ts'
import { freePort } from './free-port.ts'
import { askRedis, type PrivateRedis, privateRedis, spawnRedis } from './redis.ts'
import { until } from './until.ts'

export interface PrivateSentinels {
  /** For REDIS_URL. */
  readonly url: string
  /** Who is the master at first. */
  readonly master: PrivateRedis
  readonly replica: PrivateRedis
  /** The address of whom the sentinels call the master. */
  masterUrl(): Promise<string>
}

/** A master, its replica, and three sentinels that put the one in the other's place; gone after the test file. */
export const privateSentinels = async (): Promise<PrivateSentinels> => {
  const [master, replica] = await Promise.all([privateRedis(), privateRedis()])
  const port = new URL(master.url).port
  await askRedis(replica.url, (client) => client.replicaof('127.0.0.1', port))
  await until(async () => (await askRedis(replica.url, (client) => client.info())).includes('master_link_status:up'), {
    what: 'the replica',
  })
  const ports = await Promise.all([1, 2, 3].map(freePort))
  const urlOf = (sentinel: number) => `redis://127.0.0.1:${sentinel}`
  for (const sentinel of ports) {
    const folder = mkdtempSync(join(tmpdir(), 'lapse-sentinel-'))
    const configuration = join(folder, 'sentinel.conf')
    writeFileSync(
      configuration,
      `port ${sentinel}
bind 127.0.0.1
dir ${folder}
sentinel monitor mymaster 127.0.0.1 ${port} 2
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
    masterUrl: async () => {
      const [host, at] = (await askRedis(urlOf(ports[0] ?? 0), (client) =>
        client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster'),
      )) as string[]
      return `redis://${host}:${at}`
    },
  }
}
