import { LapseError } from 'lapse'
import { deniedProblem } from './denied.ts'
import { HttpError, problemOf } from './problem.ts'

interface Media {
  schema: Record<string, unknown>
  example?: unknown
}

interface Operation {
  requestBody?: { required?: boolean; content: Record<string, Media> }
  responses: Record<string, { content?: Record<string, Media> }>
}

export interface Described {
  components: { schemas: Record<string, object> }
  paths: Record<string, Record<string, Operation>>
}

/** For `meta`: a body as it may look. */
export const example = (value: object) => ({ 'x-examples': { example: { value } } })

/** For `meta`: the body may be left out. */
export const optional = { 'x-optional': true }

/** What the generator cannot know: bodies that may be left out, a fitting example for each problem, what is not used. */
export const finished = (document: Described): Described => {
  for (const operation of Object.values(document.paths).flatMap((path) => Object.values(path))) {
    const { requestBody, responses } = operation
    for (const { schema } of Object.values(requestBody?.content ?? {})) {
      if (requestBody && schema['x-optional']) requestBody.required = false
      delete schema['x-optional']
    }
    for (const [status, { content }] of Object.entries(responses)) {
      const media = content?.['application/problem+json']
      const refusal = examples.find((known) => known.status === Number(status))
      if (media && isDenied(media)) media.example = deniedProblem
      else if (media && refusal) media.example = problemOf(refusal, '4bd0d6bb-55a2-4a0f-9a7c-0f7f9b0f2b5e')
    }
  }
  document.components.schemas = referenced(document)
  return document
}

const isDenied = ({ schema }: Media): boolean => schema.$ref === '#/components/schemas/TokenNotValid'

const examples = [
  new HttpError('malformed', { detail: 'The body is not JSON: Unexpected end of JSON input.' }),
  new HttpError('unauthorized', {
    detail: 'This token is not known here, or not good any more. Create or rotate one, and send that.',
  }),
  new HttpError('forbidden', { detail: 'This token lacks the scope trials:write. Send one that has it.' }),
  new LapseError('not_found'),
  new LapseError('already_ended', { detail: 'It is expired. Issue a new one.' }),
  new HttpError('too_large', { detail: 'Send at most 1 MiB.' }),
  new HttpError('wrong_media_type', { detail: 'Send JSON, and say so: "Content-Type: application/json".' }),
  new LapseError('invalid', { field: 'limit', detail: 'From 1 to 200.' }),
  new HttpError('too_many', { detail: 'Wait for as many seconds as Retry-After says.' }),
  new HttpError('internal', { detail: 'The log has the reason under this instance.' }),
  new HttpError('unavailable', { detail: 'PostgreSQL did not answer in time.' }),
]

/** Every schema is there as an input and as an output; only those that are used are shown. */
const referenced = ({ components, paths }: Described): Record<string, object> => {
  const used = new Set<string>()
  const follow = (from: object) => {
    for (const [, name = ''] of JSON.stringify(from).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (used.has(name)) continue
      used.add(name)
      follow(components.schemas[name] ?? {})
    }
  }
  follow(paths)
  return Object.fromEntries(Object.entries(components.schemas).filter(([name]) => used.has(name)))
}
