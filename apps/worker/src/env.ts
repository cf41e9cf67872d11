import { commonVariables, readEnvironment, variable } from 'lapse'

/** The worker's configuration: every variable, what it must look like, and its default. */
export const variables = {
  ...commonVariables,
  SMTP_URL: variable.optionalUrl(['smtp:', 'smtps:'], 'smtp://user:password@localhost:1025'),
  LAPSE_MAIL_FROM: variable.text('Lapse <no-reply@localhost>'),
  LAPSE_MAIL_RATE: variable.whole(100, 1, 100_000),
  LAPSE_MAIL_CONNECTIONS: variable.whole(10, 1, 1_000),
  LAPSE_MAIL_COPIES: variable.whole(1, 1, 1_000),
  LAPSE_MAIL_ANSWER_SECONDS: variable.whole(600, 1, 3_600),
  LAPSE_DNS_SERVERS: variable.nameServers('10.0.0.53,10.0.1.53'),
  LAPSE_WORKER_PORT: variable.whole(3001, 0, 65_535),
  LAPSE_SWEEP_SECONDS: variable.whole(15, 1, 3_600),
  LAPSE_LOOK_AHEAD_SECONDS: variable.whole(60, 1, 300),
  LAPSE_PURGE_SECONDS: variable.whole(600, 1, 86_400),
  LAPSE_CLEANUP_ON_START: variable.flag(false),
  LAPSE_RETRY_SECONDS: variable.whole(10, 1, 3_600),
  LAPSE_RETRY_ATTEMPTS: variable.whole(10, 1, 100),
}

export const readEnv = () => readEnvironment(variables)

export type Env = ReturnType<typeof readEnv>
