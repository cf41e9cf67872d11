import { randomUUID } from 'node:crypto'
import { type JobsOptions, Queue } from 'bullmq'
import type { Manner } from '../sinks.ts'
import { type FaultKind, sleep } from './fault.ts'

/** Each clock jumps ten minutes ahead or back, some of them from one side to the other, and comes right again. */
export const clocksWrong: FaultKind = {
  name: 'application clocks ten minutes off, and stepping',
  run: async ({ apis, workers }, random, pauseMs) => {
    const apps = [...apis, ...workers]
    const steps = apps.map(() => random.whole(1, 2))
    const step = (times: readonly number[]) =>
      apps.forEach((app, i) => {
        for (let n = 0; n < (times[i] ?? 0); n++) app.stepClock()
      })
    // Two signals of a kind at once are one.
    const eachOnce = (at: number) => steps.map((count) => (count >= at ? 1 : 0))
    step(eachOnce(1))
    await sleep(200)
    step(eachOnce(2))
    await sleep(pauseMs)
    // From one ten minutes off to the other, or right.
    step(apps.map(() => 1))
    await sleep(pauseMs)
    step(steps.map((count) => (count === 1 ? 1 : 0)))
    await sleep(200)
  },
}

/** Anybody who reaches Redis can do this. */
const forged = (count: number): FaultKind => ({
  name: `${count.toLocaleString('en')} forged, mangled and promoted jobs`,
  run: async ({ services, client }, random) => {
    const connection = { url: services.redis.url }
    const open = (name: string) => new Queue(name, { connection, prefix: 'lapse', skipVersionCheck: true })
    const [timers, upkeep] = [open('timers'), open('upkeep')]
    const channels = ['email', 'webhook', 'call', 'handler'].map(open)
    for (const queue of [timers, upkeep, ...channels]) queue.on('error', () => {})
    const [live, told] = await Promise.all([
      client.ask('GET', '/v1/resources?live=true&limit=200'),
      client.ask('GET', '/v1/deliveries?limit=200'),
    ])
    const resources = live?.body.items ?? []
    const deliveries = told?.body.items ?? []
    const timer = () => {
      const { id, kind, version } = random.pick(
        resources.length > 0 ? resources : [{ id: randomUUID(), kind: 'pass', version: 1 }],
      ) as {
        id: string
        kind: string
        version: number
      }
      return random.pick<unknown>([
        { id, kind, version },
        { id, kind, version: version + random.whole(-1, 2) },
        { id: randomUUID(), kind, version },
        { id, kind: 'seat', version },
        { id: `${id}' OR true --`, kind, version: 'x' },
        { id: null },
        [],
        'nothing',
      ])
    }
    const job = (name: string, data: unknown) => ({
      name,
      data,
      opts: { removeOnComplete: true, removeOnFail: true } as JobsOptions,
    })
    for (let done = 0; done < count; done += 100) {
      const steps = ['expire', 'end-grace', 'remind', 'purge', 'nonsense']
      await timers.addBulk(Array.from({ length: 70 }, () => job(random.pick(steps), timer())))
      for (const channel of channels) {
        const delivery = () =>
          random.chance(0.7) && deliveries.length > 0 ? random.pick<{ id: string }>(deliveries).id : randomUUID()
        const some = Array.from({ length: 7 }, () =>
          job('deliver', random.pick<unknown>([{ delivery: delivery() }, { delivery: 7 }, {}])),
        )
        await channel.addBulk(some)
      }
      await upkeep.addBulk([job('sweep', {}), job('nonsense', { all: true })])
      await timers.promoteJobs({ count: 50 })
    }
    await Promise.all([timers, upkeep, ...channels].map((queue) => queue.close()))
  },
})

export const someForged = forged(300)
export const manyForged = forged(10_000)

const sinks = (manner: Manner, name: string): FaultKind => ({
  name,
  run: async ({ http, mail }, _, pauseMs) => {
    http.manner = mail.manner = manner
    await sleep(pauseMs)
    http.manner = mail.manner = 'take'
    if (manner !== 'hang') return
    http.drop()
    mail.drop()
  },
})

export const sinksRefuse = sinks('refuse', 'receivers that refuse')
export const sinksHang = sinks('hang', 'receivers that hang')
export const sinksLate = sinks('late', 'receivers that answer late')
