import { spawnSync } from 'node:child_process'
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { ask, type Stage } from '../stage.ts'
import { type FaultKind, sleep } from './fault.ts'

const appendOnly = ({ services }: Stage): string => join(services.redis.home, 'appendonlydir')

/** A producer's command may have been done and its answer lost. Nothing else hangs on Redis. */
export const redisFlushed: FaultKind = {
  name: 'Redis flushed',
  run: async ({ services }) => {
    const redis = new Redis(services.redis.url)
    await redis.flushall()
    redis.disconnect()
  },
}

const emptied = (name: string, pauses: number): FaultKind => ({
  name,
  run: async (stage, _, pauseMs) => {
    const { server } = stage.services.redis
    await server.end('SIGTERM')
    await sleep(pauses * pauseMs)
    rmSync(appendOnly(stage), { recursive: true, force: true })
    await server.start()
  },
})

export const redisEmptied = emptied('Redis stopped, and started again empty', 1)
export const redisAwayLong = emptied('Redis away for two minutes, and started again empty', 12)

export const redisKilled: FaultKind = {
  name: 'Redis killed hard, with its append-only file',
  run: async (stage) => {
    const { server } = stage.services.redis
    await server.end('SIGKILL')
    try {
      await server.start()
      return undefined
    } catch (error) {
      if (!/Bad file format/.test(String(error))) throw error
      // After a while without room Redis may leave a file that it cannot read itself; an operator puts it aside.
      rmSync(appendOnly(stage), { recursive: true, force: true })
      await server.start()
      return 'the file was damaged, and put aside'
    }
  },
}

/** As a full disk does it: what would make a file longer fails. Redis refuses writes until there is room again. */
export const redisDiskFull: FaultKind = {
  name: "no room for Redis' append-only file",
  run: async (stage, _, pauseMs) => {
    const folder = appendOnly(stage)
    const longest = Math.max(...readdirSync(folder).map((file) => statSync(join(folder, file)).size))
    const limit = (bytes: string) =>
      spawnSync('prlimit', ['--pid', String(stage.services.redis.server.pid()), `--fsize=${bytes}:unlimited`])
    if (limit(String(longest + 100)).status !== 0) return 'not possible here: there is no prlimit'
    await sleep(pauseMs)
    limit('unlimited')
    return 'by a limit of its files'
  },
}

export const postgresCrashed: FaultKind = {
  name: 'PostgreSQL stopped at once, and started again',
  fails: true,
  delays: true,
  run: async (stage) => {
    const { server } = stage.services.postgres
    stage.lost()
    await server.end('SIGQUIT')
    await server.start()
    stage.lost()
  },
}

/** What every new session of the application begins with, unless it says otherwise itself. */
export const zoneChanged: FaultKind = {
  name: 'another time zone for the application role',
  fails: true,
  delays: true,
  run: async (stage, random) => {
    const zone = random.pick(['Asia/Kathmandu', 'America/St_Johns', 'Pacific/Kiritimati'])
    await ask(stage.services.postgres.appUrl, `ALTER ROLE CURRENT_USER SET TimeZone = '${zone}'`)
    stage.lost()
    for (const { postgres } of [...stage.apis, ...stage.workers]) postgres.cut()
    await sleep(300)
  },
}
