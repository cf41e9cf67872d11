import { runService } from 'lapse'
import { pino } from 'pino'
import { startApi } from './api.ts'
import { readEnv, variables } from './env.ts'

await runService({
  name: 'API',
  variables,
  readEnv,
  log: (env) => pino({ name: 'lapse-api', level: env.LAPSE_LOG_LEVEL, redact: ['*.headers.authorization'] }),
  start: startApi,
})
