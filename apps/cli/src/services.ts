import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import {
  commonVariables,
  createLapse,
  describeRedis,
  type Lapse,
  lapseOptions,
  loadConfig,
  readEnvironment,
} from 'lapse'
import { Failure } from './failure.ts'
import { note } from './output.ts'

/** What a running `npm start` writes down, in its own folder. */
const ofStart = '.data/env'

/** As given; or else, when nothing is given, as `npm start` has it. */
const environment = (): Record<string, string | undefined> => {
  if (process.env.DATABASE_URL || process.env.REDIS_URL) return process.env
  try {
    return { ...parseEnv(readFileSync(ofStart, 'utf8')), ...process.env }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return process.env
  }
}

/** Does it with Lapse on the services of the environment, and lets go of them. @throws EnvironmentError, ConfigError */
export const withLapse = async <T>(act: (lapse: Lapse) => Promise<T>): Promise<T> => {
  const env = readEnvironment(commonVariables, environment())
  const config = await loadConfig(env.LAPSE_CONFIG)
  const lapse: Lapse = createLapse({
    ...lapseOptions(env, config),
    connections: 4,
    onError: (error, where) => {
      const { message } = error as Error
      note(
        where === 'after-commit' ? `Redis was not told: ${message}. The look-ahead brings it.` : `${where}: ${message}`,
      )
    },
  })
  try {
    return await act(lapse)
  } finally {
    await lapse.close()
  }
}

/** @throws Failure when Redis does not answer, or accepts no writes */
export const requireRedis = async ({ queues }: Lapse): Promise<void> => {
  await queues.begun
  const state = await queues.health.check()
  if (state.status !== 'ok') throw new Failure(`${describeRedis(state)} "lapse doctor" says more.`)
}
