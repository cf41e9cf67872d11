import { openClient } from '../client.ts'
import { sleep, times } from '../measure.ts'
import { type Measured, patienceMs } from './neighbour.ts'
import type { Stage } from './stage.ts'

/** How many of each, how far apart, and how long each is waited for. */
export interface Pace {
  readonly count: number
  readonly everyMs: number
  readonly withinMs: number
}

export const paceOf = (quick: boolean): Pace => ({
  count: quick ? 12 : 25,
  everyMs: 250,
  withinMs: patienceMs(quick),
})

/**
 * Does something again and again, at an even pace whatever becomes of it, and answers how long each took until `done`, in
 * milliseconds.
 */
export const pulses = async (
  { count, everyMs }: Pace,
  act: (i: number) => Promise<() => Promise<number>>,
): Promise<number[]> => {
  const taken: Promise<number>[] = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    const arrived = await act(i)
    taken.push(arrived().then((at) => at - start))
    await sleep(start + everyMs - performance.now())
  }
  return Promise.all(taken)
}

/** Issues of this kind in an organization, each until it has arrived at the receiver. */
export const issued =
  (stage: Stage, pace: Pace, draft: object): (() => Promise<number[]>) =>
  () =>
    pulses(pace, async () => {
      const { id } = await stage.ask('POST', '/v1/resources', { expires_in: 86_400, ...draft })
      return () => stage.receiver.arrivals.of(id, pace.withinMs)
    })

/** Measures the quiet one alone, lets `begin` begin the noise, and measures it beside that. */
export const compared = async (
  quiet: () => Promise<number[]>,
  begin: () => Promise<unknown>,
): Promise<Pick<Measured, 'alone' | 'beside'>> => {
  // The first of each is slower: connections, prepared statements, compiled code.
  await quiet()
  const alone = await quiet()
  await begin()
  return { alone, beside: await quiet() }
}

interface Checked {
  readonly ms: readonly number[]
  /** What was answered otherwise, by what it was. */
  readonly wrong: Record<string, number>
}

/** Checks a resource four at a time for so long, with the token of its organization, and asks every 100 ms whether the API is ready. */
export const checks = async (
  { url }: Stage,
  { id, headers }: { id: string; headers: Record<string, string> },
  forMs: number,
): Promise<Checked> => {
  const ms: number[] = []
  const wrong: Record<string, number> = {}
  const count = (what: string) => {
    wrong[what] = (wrong[what] ?? 0) + 1
  }
  const end = performance.now() + forMs
  const lane = async () => {
    const client = openClient(url)
    while (performance.now() < end) {
      const start = performance.now()
      const answer = await client.post(`/v1/resources/${id}/check`, {}, headers).catch(unanswered)
      ms.push(performance.now() - start)
      const status = answer?.seen.slice(0, 3) ?? 'not at all'
      if (status !== '200') count(`checks answered ${status}`)
      await sleep(5)
    }
    client.close()
  }
  const watch = async () => {
    while (performance.now() < end) {
      const answer = await fetch(`${url}/readyz`).catch(unanswered)
      if (answer?.status !== 200) count(`/readyz answered ${answer?.status ?? 'not at all'}`)
      await answer?.body?.cancel()
      await sleep(100)
    }
  }
  await Promise.all([...times(4, lane), watch()])
  return { ms, wrong }
}

export const inWords = (counts: Record<string, number>): string[] =>
  Object.entries(counts).map(([what, count]) => `${count.toLocaleString('en')} ${what}`)

/** No answer is one of those that are counted. */
export const unanswered = (_error: unknown): undefined => undefined
