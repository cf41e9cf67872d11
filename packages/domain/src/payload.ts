import { LapseError } from './errors.ts'
import type { Kind, Payload } from './kind.ts'

/** The payload as the kind wants it. @throws LapseError `invalid`, naming the field */
export const parsePayload = (kind: Kind, payload: unknown, path: string): Payload => {
  const parsed = kind.payload.safeParse(payload)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new LapseError('invalid', {
      field: [path, ...(issue?.path ?? [])].join('.'),
      ...(issue && { detail: issue.message }),
    })
  }
  // PostgreSQL's JSON has no NUL character.
  if (JSON.stringify(parsed.data).includes('\\u0000'))
    throw new LapseError('invalid', { field: path, detail: 'Text must not hold NUL characters.' })
  return parsed.data
}
