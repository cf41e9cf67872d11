import { type DestinationStream, type LoggerOptions, pino } from 'pino'

const token = /lps_([a-z-]+)_[0-9A-Za-z]{16,}/g
/** In an address, with encoded characters in it, it is a token all the same. */
const typedToken = /([?&](?:token|invite)=)[^"\s&…]{20,}/g
const jwt = /\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g

/** The API's log. No token stands in it, whoever writes a line: Fastify names whole addresses in some of its own. */
export const createLog = (options: Pick<LoggerOptions, 'level'>, stream?: DestinationStream) => {
  const redacted: LoggerOptions = {
    name: 'lapse-api',
    ...options,
    redact: ['*.headers.authorization'],
    hooks: { streamWrite: (line) => line.replace(token, 'lps_$1_…').replace(typedToken, '$1…').replace(jwt, 'eyJ…') },
  }
  return stream ? pino(redacted, stream) : pino(redacted)
}
