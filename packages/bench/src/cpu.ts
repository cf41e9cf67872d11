import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { Ground } from './ground.ts'
import { sleep } from './measure.ts'

/** What /proc counts in, to the second. */
const ticks = 100

interface Process {
  readonly parent: number
  readonly seconds: number
}

/** CPU seconds. */
export interface Cpu {
  readonly postgres: number
  readonly redis: number
  /** Of the processes that were started from here, but not of this one, which only looks on. */
  readonly workers: number
}

export const allOf = ({ postgres, redis, workers }: Cpu): number => postgres + redis + workers

/** What has been used so far; `undefined` where there is no /proc. */
export const cpuUsed = async ({ pool, redis }: Ground): Promise<Cpu | undefined> => {
  const { rows } = await pool.query<{ pid: number }>({ name: 'pid', text: 'SELECT pg_backend_pid() AS pid' })
  const server = Number(/^process_id:(\d+)/m.exec(await redis.info('server'))?.[1])
  // Only now: the connection that was asked may be a new one.
  const processes = allProcesses()
  if (!processes) return undefined
  const below = (root: number | undefined, but?: number) =>
    [...processes]
      .filter(([pid]) => pid !== but && ancestry(processes, pid).some((id) => id === root))
      .reduce((sum, [, { seconds }]) => sum + seconds, 0)
  return {
    postgres: below(processes.get(rows[0]?.pid ?? 0)?.parent),
    redis: below(server),
    workers: below(process.pid, process.pid),
  }
}

/** Waits until next to nothing is done any more: what a measurement has caused is over then. */
export const settled = async (ground: Ground): Promise<void> => {
  const deadline = Date.now() + 30_000
  let before = await cpuUsed(ground)
  for (let quiet = 0; quiet < 4 && Date.now() < deadline; ) {
    await sleep(250)
    const after = await cpuUsed(ground)
    const used = after && before ? allOf(after) - allOf(before) : 0
    quiet = used < 0.04 ? quiet + 1 : 0
    before = after
  }
}

/** For how long a process's first thread has been ready to run and no core was free, in milliseconds; 0 where nobody knows. */
export const keptWaiting = (pid: number): number => {
  const file = `/proc/${pid}/task/${pid}/schedstat`
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[1]) / 1e6 : 0
}

const allProcesses = (): Map<number, Process> | undefined => {
  if (!existsSync('/proc/self/stat')) return undefined
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger)
  return new Map(pids.flatMap((pid) => processOf(pid)))
}

/** With the time of its children that have ended. Nothing, when it has just ended itself. */
const processOf = (pid: number): [number, Process][] => {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return []
  }
  // The name, in parentheses, may hold anything.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15)
  return [[pid, { parent: fields[1] ?? 0, seconds: (user + system + childUser + childSystem) / ticks }]]
}

const ancestry = (processes: ReadonlyMap<number, Process>, pid: number): number[] => {
  const parent = processes.get(pid)?.parent
  return parent ? [pid, ...ancestry(processes, parent)] : [pid]
}
