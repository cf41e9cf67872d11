import { availableParallelism } from 'node:os'
import { emailAddress, isAddressRange, isOrganizationOrAll } from '@lapse/domain'
import { mostShards, readRedisUrl } from '@lapse/queue'
import { z } from 'zod'
import type { LapseConfig } from './config.ts'
import { areServers } from './outbound/resolve.ts'

/** One environment variable. */
export interface Variable<T = unknown> {
  readonly schema: z.ZodType<T>
  readonly example: string
  /** Never printed. */
  readonly secret?: boolean
}

export type Values<V extends Record<string, Variable>> = { [N in keyof V]: V[N] extends Variable<infer T> ? T : never }

export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError'
}

/**
 * Parses them all. `together` says what is wrong although each variable for itself is right.
 *
 * @throws EnvironmentError telling every problem: the variable, what is wrong, and an example
 */
export const readEnvironment = <V extends Record<string, Variable>>(
  variables: V,
  env: Record<string, string | undefined> = process.env,
  together: (env: Record<string, string | undefined>) => readonly string[] = () => [],
): Values<V> => {
  const problems = together(env).map((problem) => `  ${problem}`)
  const values = Object.entries(variables).map(([name, { schema, example }]) => {
    // An empty variable is one that is not set.
    const parsed = schema.safeParse(env[name] === '' ? undefined : env[name])
    if (!parsed.success) {
      const why = env[name] ? parsed.error.issues[0]?.message : 'is missing'
      problems.push(`  ${name}: ${why}. Example: ${name}=${example}`)
    }
    return [name, parsed.data]
  })
  if (problems.length > 0) throw new EnvironmentError(`The environment is not complete:\n${problems.join('\n')}`)
  return Object.fromEntries(values) as Values<V>
}

/** The effective values, one a line, without secrets. */
export const describeEnvironment = <V extends Record<string, Variable>>(variables: V, values: Values<V>): string =>
  Object.entries(variables)
    .map(([name, { secret }]) => {
      const value = values[name]
      if (value === undefined) return `${name} (not set)`
      return `${name}=${secret ? '(set)' : withoutPassword(String(value))}`
    })
    .join('\n')

const withoutPassword = (text: string): string => {
  if (!text.includes('://')) return text
  // Several hosts are no URL that Node reads.
  if (!URL.canParse(text))
    return text.replace(/^([^:]+:\/\/[^:@]*):.*@/, '$1:***@').replace(/(password=)[^&]*/g, '$1***')
  const address = new URL(text)
  if (address.password) address.password = '***'
  for (const name of ['password', 'sentinel_password'])
    if (address.searchParams.has(name)) address.searchParams.set(name, '***')
  return address.href
}

const url = (protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `is not a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
  })

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d+$/, 'is not a whole number')
    .transform(Number)
    .refine((n) => n >= least && n <= most, { error: `must be from ${least} to ${most}` })

/** Building blocks for the variables of an app. */
export const variable = {
  url: (protocols: string[], example: string): Variable<string> => ({ schema: url(protocols), example }),
  optionalUrl: (protocols: string[], example: string): Variable<string | undefined> => ({
    schema: url(protocols).optional(),
    example,
  }),
  whole: (fallback: number, least: number, most: number): Variable<number> => ({
    schema: z.preprocess((value) => value ?? String(fallback), whole(least, most)) as z.ZodType<number>,
    example: String(fallback),
  }),
  optionalWhole: (least: number, most: number, example: string): Variable<number | undefined> => ({
    schema: whole(least, most).optional() as z.ZodType<number | undefined>,
    example,
  }),
  text: (fallback: string): Variable<string> => ({ schema: z.string().default(fallback), example: fallback }),
  nameServers: (example: string): Variable<string[] | undefined> => ({ schema: nameServers, example }),
  flag: (fallback: boolean): Variable<boolean> => ({
    schema: z
      .enum(['true', 'false'], 'must be true or false')
      .default(fallback ? 'true' : 'false')
      .transform((text) => text === 'true') as z.ZodType<boolean>,
    example: 'true',
  }),
  optionalText: (example: string): Variable<string | undefined> => ({ schema: z.string().optional(), example }),
  secret: <T = string | undefined>(schema: z.ZodType<T>, example: string): Variable<T> => ({
    schema,
    example,
    secret: true,
  }),
}

/** One key, or several with commas between them: the first seals, all open. */
const keys = z
  .string()
  .transform((text) => text.split(',').map((key) => key.trim()))
  .refine((all) => all.every((key) => key.length >= 32), 'is shorter than 32 characters, or one of its parts is')
  .optional()

/** One server, a cluster or sentinels. */
const redisUrl = z.string().superRefine((text, context) => {
  try {
    readRedisUrl(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as RangeError).message })
  }
})

const separated = z.string().transform((text) => text.split(',').map((part) => part.trim()))

/** Addresses and ranges of addresses, with commas between them. */
const addressRanges = separated
  .refine((all) => all.every(isAddressRange), 'is not a list of addresses and ranges such as 10.0.0.0/8')
  .optional()

/** Organizations by id with commas between them, or `*`. */
const organizations = separated
  .refine((all) => all.every(isOrganizationOrAll), 'is not a list of ids of organizations, or *')
  .optional()

/** Name servers, with commas between them. */
const nameServers = separated
  .refine(areServers, 'is not a list of name servers such as 10.0.0.53 or [fd12:3456::53]:5353')
  .optional()
/**
 * Several for each core, since some wait for locks or for hooks. At most 24, so that an API and a worker on each of two
 * machines stay within the 100 connections that PostgreSQL has by default.
 */
const poolSize = Math.min(24, Math.max(10, 4 * availableParallelism() + 4))

/** The variables that every Lapse process has. */
export const commonVariables = {
  DATABASE_URL: variable.url(['postgresql:', 'postgres:'], 'postgresql://lapse_app:secret@localhost:5432/lapse'),
  REDIS_URL: { schema: redisUrl, example: 'redis://localhost:6379' } satisfies Variable<string>,
  LAPSE_DB_POOL_SIZE: variable.whole(poolSize, 5, 1_000),
  LAPSE_TIMER_SHARDS: variable.whole(1, 1, mostShards),
  LAPSE_PREFIX: variable.text('lapse'),
  LAPSE_CONFIG: variable.optionalText('./lapse.config.ts'),
  LAPSE_SECRET: variable.secret(keys, '"$(openssl rand -base64 32)"'),
  LAPSE_PUBLIC_URL: {
    schema: url(['http:', 'https:'])
      .refine(
        (text) => /^\/?$/.test(new URL(text).pathname + new URL(text).search),
        'has a path: the pages are at the root of their host',
      )
      .default('http://127.0.0.1:3000'),
    example: 'https://lapse.example.com',
  } satisfies Variable<string>,
  LAPSE_ALLOW_ADDRESSES: { schema: addressRanges, example: '10.1.0.0/16,fd12:3456::/48' } satisfies Variable,
  LAPSE_ALLOW_ADDRESSES_FOR: {
    schema: organizations,
    example: '019abcde-0000-7000-8000-000000000002',
  } satisfies Variable,
  LAPSE_HORIZON_HOURS: variable.optionalWhole(1, 87_600, '24'),
  LAPSE_OPERATOR_EMAIL: {
    schema: z
      .string()
      .refine((text) => emailAddress.safeParse(text).success, 'is not an address')
      .overwrite((text) => emailAddress.safeParse(text).data ?? text)
      .optional(),
    example: 'ops@example.com',
  } satisfies Variable<string | undefined>,
  LAPSE_WATCH_SECONDS: variable.whole(60, 1, 3_600),
  LAPSE_ALERT_PENDING_SECONDS: variable.whole(300, 1, 604_800),
  LAPSE_ALERT_SWEPT: variable.whole(10, 0, 1_000_000),
  LAPSE_ALERT_SWEEP_SECONDS: variable.whole(120, 1, 86_400),
  LAPSE_LOG_LEVEL: {
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'is not a log level').default('info'),
    example: 'info',
  } satisfies Variable,
  HOST: variable.text('127.0.0.1'),
}

/** What those variables and the configuration mean for `createLapse`. */
export const lapseOptions = (env: Values<typeof commonVariables>, { kinds = [], mail, ...builtIn }: LapseConfig) => ({
  databaseUrl: env.DATABASE_URL,
  connections: env.LAPSE_DB_POOL_SIZE,
  redisUrl: env.REDIS_URL,
  prefix: env.LAPSE_PREFIX,
  timerShards: env.LAPSE_TIMER_SHARDS,
  kinds,
  ...builtIn,
  templates: mail?.templates,
  ...(env.LAPSE_SECRET && { secrets: env.LAPSE_SECRET }),
  allowAddresses: env.LAPSE_ALLOW_ADDRESSES,
  allowAddressesFor: env.LAPSE_ALLOW_ADDRESSES_FOR,
  operatorEmail: env.LAPSE_OPERATOR_EMAIL,
  alerts: {
    pendingMs: env.LAPSE_ALERT_PENDING_SECONDS * 1_000,
    swept: env.LAPSE_ALERT_SWEPT,
    sweepMs: env.LAPSE_ALERT_SWEEP_SECONDS * 1_000,
  },
  horizonMs: env.LAPSE_HORIZON_HOURS === undefined ? undefined : env.LAPSE_HORIZON_HOURS * 3_600_000,
})
