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
  /** `stop` is aborted when the process is to end: a start that is under way gives up, or comes to its end soon. */
  start: (env: Env, config: LapseConfig, log: L, stop: AbortSignal) => Promise<Running>
}

interface Running {
  readonly url: string
  close(): Promise<void>
}

/** Supervisors send SIGKILL after ten seconds; what hangs by then is not waited for. */
const patienceMs = 9_500

/**
 * Runs a process of Lapse's: reads the environment and `lapse.config.ts`, starts, and on SIGTERM or SIGINT stops within
 * ten seconds, while it starts too. With `--check` it prints what is in effect instead. What is wrong is said in words, with
 * exit code 1.
 */
export const runService = async <V extends Record<string, Variable>, Env extends Values<V>, L extends Log>(
  service: Service<V, Env, L>,
): Promise<void> => {
  const stopping = new AbortController()
  try {
    const env = service.readEnv()
    const config = await loadConfig(env.LAPSE_CONFIG as string | undefined)
    if (process.argv.includes('--check')) {
      const kinds = allKinds(config.kinds ?? [], config, config.mail?.templates ?? {})
      console.log(`${describeEnvironment(service.variables, env)}\nkinds: ${kinds.map(({ name }) => name).join(', ')}`)
      return
    }
    const log = service.log(env)
    let starting: Promise<Running | undefined> = Promise.resolve(undefined)
    const stop = async (signal: string) => {
      log.info({ signal }, 'stopping')
      setTimeout(() => process.exit(1), patienceMs).unref()
      stopping.abort(new Error(`stopped by ${signal}`))
      // A start that was given up has let go of everything itself.
      const [started] = await Promise.allSettled([starting])
      if (started.status === 'fulfilled') await started.value?.close()
      log.info({}, 'stopped')
      process.exit(0)
    }
    // Before anything is started: a start may take as long as there are timers to arm.
    process.once('SIGTERM', stop).once('SIGINT', stop)
    starting = service.start(env, config, log, stopping.signal)
    const { url } = (await starting) as Running
    if (!stopping.signal.aborted) log.info({ url }, `the ${service.name} is ready`)
  } catch (error) {
    // Whoever has stopped it does the rest.
    if (stopping.signal.aborted) return
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
