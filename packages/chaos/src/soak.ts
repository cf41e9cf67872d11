import { readdirSync, readFileSync } from 'node:fs'
import { sleep } from './faults/fault.ts'
import type { Services } from './services.ts'
import { ask, type Stage } from './stage.ts'

/** What is measured at one instant, by name. */
type Sample = Readonly<Record<string, number>>

const everyMs = 10_000

/** Measures every ten seconds what must not grow; `stop` says in words whether it did. */
export const startSampling = (stage: Stage) => {
  const samples: { readonly hours: number; readonly values: Sample }[] = []
  const take = async () => {
    const hours = performance.now() / 3_600_000
    try {
      samples.push({ hours, values: await sample(stage) })
    } catch {
      // A sample more or less.
    }
  }
  const timer = setInterval(take, everyMs)
  void take()
  return {
    stop: () => {
      clearInterval(timer)
      return trendOf(samples)
    },
  }
}

const sample = async ({ apis, workers, services }: Stage): Promise<Sample> => {
  const values: Record<string, number> = {}
  for (const app of [...apis, ...workers]) app.collectGarbage()
  await sleep(500)
  for (const { name, pid, url } of [...apis, ...workers]) {
    values[`${name} resident MiB`] = residentMiB(pid)
    values[`${name} handles`] = readdirSync(`/proc/${pid}/fd`).length
    const heap = await heapMiB(url)
    if (heap !== undefined) values[`${name} heap MiB`] = heap
  }
  const { ownerUrl, appUrl } = services.postgres
  const { rows } = await ask(
    ownerUrl,
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = '${new URL(appUrl).username}'`,
  )
  values['PostgreSQL connections'] = rows[0].n
  values['Redis resident MiB'] = residentMiB(redisPid(services))
  return values
}

const redisPid = ({ redis }: Services): number => redis.server.pid()

const residentMiB = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_024

/** As its metrics tell it, after it has let go of what it does not need. */
const heapMiB = async (url: string): Promise<number | undefined> => {
  const text = await (await fetch(`${url}/metrics`)).text()
  const [, bytes] = /^\w*nodejs_heap_size_used_bytes(?:\{[^}]*\})? ([\d.e+]+)$/m.exec(text) ?? []
  return bytes === undefined ? undefined : Number(bytes) / 2 ** 20
}

interface Point {
  readonly x: number
  readonly y: number
}

/** Least squares. */
export const slopeOf = (points: readonly Point[]): number => {
  const mean = (of: (point: Point) => number) => points.reduce((sum, point) => sum + of(point), 0) / points.length
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)]
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0)
  return spread === 0 ? 0 : points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spread
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/** More than a tenth above its first level, and still rising by as much in an hour, is a leak until somebody shows that it is none. */
export const isFlat = (points: readonly Point[]): boolean => {
  const { first, last, slope } = measure(points)
  return last - first <= Math.max(first / 10, 3) || slope <= Math.max(first / 10, 3)
}

/** The slope of the second half, when everything has warmed up; the medians of its first and its last tenth. */
const measure = (points: readonly Point[]) => {
  const half = points.slice(points.length >> 1)
  const tenth = Math.max(1, Math.floor(half.length / 10))
  const values = half.map(({ y }) => y)
  return { first: median(values.slice(0, tenth)), last: median(values.slice(-tenth)), slope: slopeOf(half) }
}

const trendOf = (samples: readonly { hours: number; values: Sample }[]): string => {
  const names = Object.keys(samples.at(-1)?.values ?? {})
  const lines = names.map((name) => {
    const points = samples.flatMap(({ hours, values }) =>
      values[name] === undefined ? [] : [{ x: hours, y: values[name] }],
    )
    const { first, last, slope } = measure(points)
    const figures = [first.toFixed(1).padStart(8), last.toFixed(1).padStart(8), slope.toFixed(1).padStart(9)]
    return `${name.padEnd(24)} ${figures.join(' ')}  ${isFlat(points) ? 'flat' : 'RISES'}`
  })
  return [
    `soak: ${samples.length} samples; the second half, first and last tenth (medians), and the slope in an hour`,
    ...lines,
  ].join('\n')
}
