import { runService } from 'lapse'
import { pino } from 'pino'
import { readEnv, variables } from './env.ts'
import { startWorker } from './worker.ts'

await runService({
  name: 'worker',
  variables,
  readEnv,
  log: (env) => pino({ name: 'lapse-worker', level: env.LAPSE_LOG_LEVEL }),
  start: startWorker,
})
