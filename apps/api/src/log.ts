import { type DestinationStream, type LoggerOptions, pino } from 'pino'

const token = /\blps_([a-z-]+)_[0-9A-Za-z]{16,}/g
const jwt = /\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g

/** The API's log. No token stands in it, whoever writes a line: Fastify names whole addresses in some of its own. */
export const createLog = (options: Pick<LoggerOptions, 'level'>, stream?: DestinationStream) => {
  const redacted: LoggerOptions = {
    name: 'lapse-api',
    ...options,
    redact: ['*.headers.authorization'],
    hooks: { streamWrite: (line) => line.replace(token, 'lps_$1_…').replace(jwt, 'eyJ…') },
  }
  return stream ? pino(redacted, stream) : pino(redacted)
}
