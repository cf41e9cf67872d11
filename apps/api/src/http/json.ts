import type { FastifyInstance } from 'fastify'
import { HttpError } from './problem.ts'

/** Bodies are JSON. An empty one is no body, so that verbs which need none take `curl -X POST` with any headers. */
export const acceptJsonOnly = (app: FastifyInstance): void => {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined)
    parse(request, body, (error, value) => {
      if (error) done(new HttpError('malformed', { detail: flawOf(body) }))
      else done(null, value)
    })
  })
}

const flawOf = (body: string): string => {
  try {
    JSON.parse(body)
    return 'The body has a key that is not allowed, such as "__proto__".'
  } catch (error) {
    return `The body is not JSON: ${(error as Error).message}.`
  }
}
