import { DefinitionError } from '@lapse/domain'
import { BootError } from './boot.ts'
import { ConfigError, type LapseConfig, loadConfig } from './config.ts'
import { describeEnvironment, EnvironmentError, type Values, type Variable } from './environment.ts'
import { allKinds } from './lapse.ts'

interface Log {
  info(about: object, message: string): void
}

export interface Service<V extends Record<string, Variable>, Env extends Values<V>, L extends Log> {
  /** As in "the worker is ready". */
  name: string
  variables: V
  readEnv: () => Env
  log: (env: Env) => L
  start: (env: Env, config: LapseConfig, log: L) => Promise<{ readonly url: string; close(): Promise<void> }>
}

/** Supervisors send SIGKILL after ten seconds; what hangs by then is not waited for. */
const patienceMs = 9_500

/**
 * Runs a process of Lapse's: reads the environment and `lapse.config.ts`, starts, and on SIGTERM or SIGINT stops within
 * ten seconds. With `--check` it prints what is in effect instead. What is wrong is said in words, with exit code 1.
 */
export const runService = async <V extends Record<string, Variable>, Env extends Values<V>, L extends Log>(
  service: Service<V, Env, L>,
): Promise<void> => {
  try {
    const env = service.readEnv()
    const config = await loadConfig(env.LAPSE_CONFIG as string | undefined)
    if (process.argv.includes('--check')) {
      const kinds = allKinds(config.kinds ?? [], config, config.mail?.templates ?? {})
      console.log(`${describeEnvironment(service.variables, env)}\nkinds: ${kinds.map(({ name }) => name).join(', ')}`)
      return
    }
    const log = service.log(env)
    const running = await service.start(env, config, log)
    log.info({ url: running.url }, `the ${service.name} is ready`)
    const stop = async (signal: string) => {
      log.info({ signal }, 'stopping')
      setTimeout(() => process.exit(1), patienceMs).unref()
      await running.close()
      log.info({}, 'stopped')
      process.exit(0)
    }
    process.once('SIGTERM', stop).once('SIGINT', stop)
  } catch (error) {
    console.error(inWords(error))
    process.exit(1)
  }
}

/** What somebody can mend is said in a sentence; what we have done wrong keeps its stack. */
const inWords = (error: unknown): unknown => {
  if (error instanceof EnvironmentError || error instanceof ConfigError) return error.message
  if (error instanceof DefinitionError || error instanceof BootError) return error.message
  const { code, port } = error as { code?: string; port?: number }
  if (code === 'EADDRINUSE')
    return `Port ${port} is taken. Set PORT (the API's) or LAPSE_WORKER_PORT (the worker's) to another; 0 takes any.`
  return error
}
