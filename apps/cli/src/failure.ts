import { ConfigError, DefinitionError, EnvironmentError, isUnavailable, LapseError } from 'lapse'

export const codes = { well: 0, wrong: 1, usage: 2 } as const

/** What has to be said to whoever typed the command, without a stack. */
export class Failure extends Error {
  readonly code: number

  constructor(message: string, code: number = codes.wrong) {
    super(message)
    this.code = code
  }
}

/** What somebody can mend is said in a sentence; what we have done wrong keeps its stack. */
export const explain = (error: unknown): { message: unknown; code: number } => {
  if (error instanceof Failure) return { message: error.message, code: error.code }
  if (error instanceof EnvironmentError)
    return {
      message: `${error.message}\nSet them, or run this in the folder of a running \`npm start\`: its services are found by themselves.`,
      code: codes.usage,
    }
  if (error instanceof ConfigError || error instanceof DefinitionError)
    return { message: error.message, code: codes.usage }
  if (error instanceof LapseError)
    return {
      message: [titleOf(error), error.field && `(${error.field})`, error.detail].filter(Boolean).join(' '),
      code: codes.wrong,
    }
  const { message = '' } = error as Error
  if (isUnavailable(error))
    return { message: `PostgreSQL cannot be reached: ${lastLine(message)}. Check DATABASE_URL.`, code: codes.wrong }
  if (isOfPostgres(error))
    return { message: `PostgreSQL refuses: ${lastLine(message)}. "lapse doctor" says more.`, code: codes.wrong }
  return { message: error, code: codes.wrong }
}

/** A detail says what is not there, which need not be a resource. */
const titleOf = ({ code, message, detail }: LapseError) => (code !== 'not_found' || !detail ? message : undefined)

const isOfPostgres = (error: unknown): boolean => {
  const { severity, code, name } = error as { severity?: string; code?: string; name?: string }
  return severity !== undefined || code === 'P2010' || name === 'PrismaClientInitializationError'
}

/** Without its full stop, for the sentence that it ends up in. */
const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.trim().replace(/\.$/, '') || 'no answer'
