import { BootError, describeEnvironment, EnvironmentError, loadConfig } from 'lapse'
import { pino } from 'pino'
import { startApi } from './api.ts'
import { readEnv, variables } from './env.ts'

const main = async (): Promise<void> => {
  const env = readEnv()
  if (process.argv.includes('--check')) {
    const config = await loadConfig(env.LAPSE_CONFIG)
    console.log(describeEnvironment(variables, env))
    console.log(`kinds: ${[...new Set(['trial', ...(config.kinds ?? []).map((kind) => kind.name)])].join(', ')}`)
    return
  }
  const log = pino({ name: 'lapse-api', level: env.LAPSE_LOG_LEVEL, redact: ['*.headers.authorization'] })
  const api = await startApi(env, await loadConfig(env.LAPSE_CONFIG), log)
  log.info({ url: api.url }, 'the API is ready')

  const stop = async (signal: string) => {
    log.info({ signal }, 'stopping')
    // What hangs is not waited for.
    setTimeout(() => process.exit(1), 9_500).unref()
    await api.close()
    log.info('stopped')
    process.exit(0)
  }
  process.once('SIGTERM', stop).once('SIGINT', stop)
}

main().catch((error: unknown) => {
  const expected = error instanceof EnvironmentError || error instanceof BootError
  console.error(expected ? error.message : error)
  process.exit(1)
})
