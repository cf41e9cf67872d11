import { type ChildProcess, fork, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Ground } from './ground.ts'
import type { YardstickOptions, YardstickReport } from './yardstick.ts'

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/** Runs `during` while the real worker works on this ground. */
export const withWorker = <T>(ground: Ground, during: () => Promise<T>, env: Record<string, string> = {}): Promise<T> =>
  // Out of the way: what is measured is the timers, not the net below them.
  withApp(ground, 'worker', { LAPSE_WORKER_PORT: '0', LAPSE_SWEEP_SECONDS: '3600', ...env }, during)

/** Runs `during` while the real API answers for this ground at `url`, and takes whoever asks for a proxy. */
export const withApi = <T>(
  ground: Ground,
  during: (url: string, token: string, pid: number) => Promise<T>,
  env: Record<string, string> = {},
): Promise<T> => {
  const secret = () => randomBytes(24).toString('hex')
  const own: Record<string, string> & { LAPSE_ROOT_TOKEN: string } = {
    PORT: '0',
    LAPSE_ROOT_TOKEN: secret(),
    LAPSE_SECRET: secret(),
    LAPSE_TRUSTED_PROXIES: '1',
    ...env,
  }
  return withApp(ground, 'api', own, (url, pid) => during(url, own.LAPSE_ROOT_TOKEN, pid))
}

/** In a process of its own, as it is deployed. */
const withApp = async <T>(
  ground: Ground,
  app: 'api' | 'worker',
  env: Record<string, string>,
  during: (url: string, pid: number) => Promise<T>,
): Promise<T> => {
  // What Node was started with goes on to it: `node --cpu-prof` on the bench profiles the app too.
  const child = spawn(process.execPath, [...process.execArgv, pathOf(`../../../apps/${app}/dist/main.js`)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      DATABASE_URL: ground.databaseUrl,
      REDIS_URL: ground.redisUrl,
      LAPSE_PREFIX: ground.prefix,
      LAPSE_CONFIG: pathOf('./lapse.config.js'),
      ...env,
    },
  })
  try {
    return await during(await ready(child), child.pid ?? 0)
  } finally {
    await ended(child)
  }
}

/** Where it answers. What it says after that goes unread. */
const ready = (child: ChildProcess): Promise<string> => {
  let output = ''
  return new Promise((resolve, reject) => {
    const read = (text: string) => {
      output += text
      const [, url] = /"url":"([^"]+)","msg":"the \w+ is ready"/.exec(output) ?? []
      if (url === undefined) return
      child.stdout?.off('data', read).resume()
      resolve(url)
    }
    child.stdout?.setEncoding('utf8').on('data', read)
    child.once('exit', () => reject(new Error(`It ended before it was ready:\n${output}`)))
  })
}

/** A bare BullMQ worker in a process of its own; `report` comes when it has done `count` jobs. */
export const withYardstick = async <T>(
  ground: Ground,
  options: Omit<YardstickOptions, 'redisUrl' | 'prefix'>,
  during: (report: Promise<YardstickReport>) => Promise<T>,
): Promise<T> => {
  const { redisUrl, prefix } = ground
  const child = fork(pathOf('./yardstick.js'), [JSON.stringify({ ...options, redisUrl, prefix })])
  const failed = new Promise<never>((_, reject) => {
    child.once('exit', (code) => reject(new Error(`The yardstick's worker ended with code ${code}`)))
  })
  // Those who race it hear of it; before and after them it is not unhandled.
  void Promise.allSettled([failed])
  try {
    await Promise.race([once(child, 'message'), failed])
    const message = once(child, 'message').then(([message]) => message as YardstickReport)
    const report = Promise.race([message, failed])
    // Nobody waits for it when `during` gives up before.
    void Promise.allSettled([report])
    return await during(report)
  } finally {
    await ended(child)
  }
}

/** Runs `during` while one of the peers works on this ground, in a process of its own. */
export const withPeer = async <T>(ground: Ground, peer: string, during: () => Promise<T>): Promise<T> => {
  const { databaseUrl, redisUrl, prefix } = ground
  const child = fork(pathOf('./peers/worker.js'), [JSON.stringify({ peer, databaseUrl, redisUrl, prefix })])
  const failed = once(child, 'exit').then(([code]): never => {
    throw new Error(`The worker of ${peer} ended by itself, with code ${code}`)
  })
  // Those who race it hear of it; before and after them it is not unhandled.
  void Promise.allSettled([failed])
  try {
    await Promise.race([once(child, 'message'), failed])
    return await Promise.race([during(), failed])
  } finally {
    await ended(child)
  }
}

const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}
