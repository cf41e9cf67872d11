import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Ground } from './ground.ts'
import type { YardstickOptions, YardstickReport } from './yardstick.ts'

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/** Runs `during` while the real worker works on this ground, in a process of its own, as it is deployed. */
export const withWorker = async <T>(ground: Ground, during: () => Promise<T>): Promise<T> => {
  // What Node was started with goes on to it: `node --cpu-prof` on the bench profiles the worker too.
  const worker = spawn(process.execPath, [...process.execArgv, pathOf('../../../apps/worker/dist/main.js')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      DATABASE_URL: ground.databaseUrl,
      REDIS_URL: ground.redisUrl,
      LAPSE_PREFIX: ground.prefix,
      LAPSE_CONFIG: pathOf('./lapse.config.js'),
      LAPSE_WORKER_PORT: '0',
      // Out of the way: what is measured is the timers, not the net below them.
      LAPSE_SWEEP_SECONDS: '3600',
    },
  })
  try {
    await said(worker, 'the worker is ready')
    return await during()
  } finally {
    await ended(worker)
  }
}

const said = async (child: ChildProcess, words: string): Promise<void> => {
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes(words)) resolve()
    })
    child.once('exit', () => reject(new Error(`The worker ended before it was ready:\n${output}`)))
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
  failed.catch(() => {})
  try {
    await Promise.race([once(child, 'message'), failed])
    const report = once(child, 'message').then(([message]) => message as YardstickReport)
    return await during(Promise.race([report, failed]))
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
