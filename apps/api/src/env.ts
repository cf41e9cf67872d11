import { createHash } from 'node:crypto'
import { commonVariables, readEnvironment, type Variable, variable } from 'lapse'
import { z } from 'zod'

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

const rootToken = z
  .string()
  .min(32, 'is shorter than 32 characters')
  .regex(/^[\x21-\x7e]+$/, 'must be visible ASCII, without spaces')

/** The API's configuration: every variable, what it must look like, and its default. */
export const variables = {
  ...commonVariables,
  PORT: variable.whole(3000, 0, 65_535),
  /** Hashed here and now: the token itself goes no further. */
  LAPSE_ROOT_TOKEN: variable.secret(rootToken.transform(sha256).optional(), '"$(openssl rand -base64 32)"'),
  LAPSE_ROOT_TOKEN_HASH: variable.secret(
    z
      .string()
      .regex(/^[0-9a-f]{64}$/i, 'is not a SHA-256 in hexadecimal')
      .toLowerCase()
      .optional(),
    '"$(printf %s "$TOKEN" | sha256sum | cut -c1-64)"',
  ),
  LAPSE_BOARD_USER: {
    schema: z
      .string()
      .regex(/^[^:]+$/, 'must not hold a colon')
      .default('lapse'),
    example: 'lapse',
  } satisfies Variable<string>,
  LAPSE_BOARD_PASSWORD: variable.secret(z.string().optional(), '"$(openssl rand -base64 12)"'),
  LAPSE_BOARD_WRITABLE: variable.flag(false),
  LAPSE_TRUSTED_PROXIES: variable.whole(0, 0, 10),
  LAPSE_SIGN_INS_PER_HOUR: variable.whole(20, 1, 100_000),
}

/** Reads the environment and forgets the root token in it. @throws EnvironmentError */
export const readEnv = (env: Record<string, string | undefined> = process.env) => {
  const values = readEnvironment(variables, env, oneRootToken)
  delete env.LAPSE_ROOT_TOKEN
  const { LAPSE_ROOT_TOKEN: hashed, LAPSE_ROOT_TOKEN_HASH: given = '' } = values
  return { ...values, rootTokenHash: hashed ?? given }
}

const oneRootToken = ({ LAPSE_ROOT_TOKEN: token, LAPSE_ROOT_TOKEN_HASH: hash }: Record<string, string | undefined>) => {
  if (token && hash) return ['LAPSE_ROOT_TOKEN, LAPSE_ROOT_TOKEN_HASH: both are set. Keep one of them.']
  if (token || hash) return []
  const { example } = variables.LAPSE_ROOT_TOKEN
  return [`LAPSE_ROOT_TOKEN: is missing, and so is LAPSE_ROOT_TOKEN_HASH. Example: LAPSE_ROOT_TOKEN=${example}`]
}

export type Env = ReturnType<typeof readEnv>
