import { live } from './life.ts'
import { Random } from './random.ts'
import type { Stage } from './stage.ts'

export interface Load {
  /** How many lives begin in a second. */
  readonly rate: number
  readonly longestSeconds: number
  readonly seed: number
}

/** More lives at once would only wait for each other, and so would more while as many requests wait for their answer. */
const mostLives = 400
const mostWaiting = 25

/** Begins lives at an even rate, as long as they are answered, until it is stopped; stopping waits for their ends. */
export const startLoad = (stage: Stage, { rate, longestSeconds, seed }: Load) => {
  let begun = 0
  let stopped = false
  const living = new Set<Promise<void>>()
  const world = {
    client: stage.client,
    now: () => stage.time.now(),
    sinkUrl: stage.http.url,
    mailed: (name: string) => stage.seen.mailed.get(name),
    note: stage.seen.operations.push.bind(stage.seen.operations),
    hurry: () => stopped,
  }
  const start = performance.now()
  const timer = setInterval(() => {
    const due = ((performance.now() - start) / 1_000) * rate
    for (; begun < due; begun++) {
      if (living.size >= mostLives || stage.client.waiting >= mostWaiting) continue
      const life = live(begun, Random.of(seed, begun), longestSeconds, world).then((facts) => {
        stage.seen.lives.push(facts)
        living.delete(life)
      })
      living.add(life)
    }
  }, 20)
  return {
    stop: async () => {
      clearInterval(timer)
      stopped = true
      await Promise.all(living)
    },
  }
}
