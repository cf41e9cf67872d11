import { runService } from 'lapse'
import { startApi } from './api.ts'
import { readEnv, variables } from './env.ts'
import { createLog } from './log.ts'

await runService({
  name: 'API',
  variables,
  readEnv,
  log: (env) => createLog({ level: env.LAPSE_LOG_LEVEL }),
  start: startApi,
})
