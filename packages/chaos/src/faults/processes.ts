import type { App } from '../app.ts'
import type { Stage } from '../stage.ts'
import { type FaultKind, sleep } from './fault.ts'

const killed = async (stage: Stage, app: App): Promise<void> => {
  stage.lost()
  await app.kill()
  stage.lost()
}

const oneKilled = (name: string, among: (stage: Stage) => readonly App[]): FaultKind => ({
  name,
  run: async (stage, random) => {
    const app = random.pick(among(stage))
    await killed(stage, app)
    await app.start()
  },
})

export const workerKilled = oneKilled('a worker killed hard', ({ workers }) => workers)
export const apiKilled = oneKilled('an API killed hard', ({ apis }) => apis)

/** An issue has committed, and its API dies with the timers on its lips. */
export const apiKilledBeforeEnqueue: FaultKind = {
  name: 'an API killed between commit and enqueue',
  run: async (stage, random) => {
    const api = random.pick(stage.apis)
    const hit = new Promise<void>((resolve) => {
      api.redis.trap = (piece) => {
        if (!piece.includes('-expire-v1')) return 'pass'
        void killed(stage, api).then(resolve)
        return 'cut'
      }
    })
    await Promise.race([hit, sleep(10_000)])
    api.redis.trap = undefined
    if (api.runs) return 'it enqueued nothing meanwhile'
    await api.start()
  },
}

/** Whoever expires what has a hook dies before the commit, and so does whoever takes it up after them. */
const killedOnTheSameJob = (rounds: number): FaultKind => ({
  name: rounds === 1 ? 'a worker killed within its transaction' : `the same job killed ${rounds} times`,
  delays: true,
  run: async (stage) => {
    let left = rounds
    const deadline = performance.now() + 20_000 * rounds
    await Promise.all(
      stage.workers.map(async (worker) => {
        while (left > 0 && performance.now() < deadline) {
          let isHit = false
          worker.postgres.trap = (piece) => {
            if (left === 0 || isHit || !piece.includes('chaos_given_back')) return 'pass'
            left--
            isHit = true
            void killed(stage, worker)
            return 'cut'
          }
          // A statement goes over the line as text when its connection is new.
          stage.lost()
          worker.postgres.cut()
          while (!isHit && left > 0 && performance.now() < deadline) await sleep(50)
          worker.postgres.trap = undefined
          while (isHit && worker.runs) await sleep(20)
          if (!worker.runs) await worker.start()
        }
      }),
    )
    return `${rounds - left} times`
  },
})

export const killedInTransaction = killedOnTheSameJob(1)
export const sameJobKilled = killedOnTheSameJob(3)

/** Whoever has a side effect in hand dies; three times, with the same one. */
export const sameDeliveryKilled: FaultKind = {
  name: 'the same delivery killed three times',
  delays: true,
  run: async (stage) => {
    let chosen: string | undefined
    for (let times = 0; times < 3; times++) {
      const hit = new Promise<void>((resolve) => {
        stage.http.onArrival = (key) => {
          chosen ??= key
          if (key !== chosen) return
          stage.http.onArrival = () => {}
          void Promise.all(stage.workers.map((worker) => killed(stage, worker))).then(() => resolve())
        }
      })
      // Its lease of a minute has to run out before anybody may try it again.
      await Promise.race([hit, sleep(100_000)])
      stage.http.onArrival = () => {}
      const dead = stage.workers.filter(({ runs }) => !runs)
      if (dead.length === 0) return `${times} times`
      await Promise.all(dead.map((worker) => worker.start()))
    }
  },
}

/** One after the other, as a new version is brought out: nobody may notice. */
export const rollingRestart: FaultKind = {
  name: 'a rolling restart',
  isQuiet: true,
  run: async (stage) => {
    const took: string[] = []
    for (const app of [...stage.apis, ...stage.workers]) {
      const exit = await app.stop()
      stage.seen.exits.push({ name: app.name, ...exit })
      took.push(`${app.name} ${(exit.ms / 1_000).toFixed(1)} s`)
      await app.start()
    }
    return `stopped within ${took.join(', ')}`
  },
}
