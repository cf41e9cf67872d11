import { LapseError } from './errors.ts'
import type { Kind, Payload } from './kind.ts'
import { unstorable } from './text.ts'

/** The payload as the kind wants it. @throws LapseError `invalid`, naming the field */
export const parsePayload = (kind: Kind, payload: unknown, path: string): Payload => {
  const parsed = kind.payload.safeParse(payload)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const unknown = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : []
    throw new LapseError('invalid', {
      field: [path, ...(issue?.path ?? []), ...unknown].join('.'),
      ...(issue && { detail: unknown.length > 0 ? `The kind ${kind.name} has no such field.` : issue.message }),
    })
  }
  if (!isStorable(parsed.data))
    throw new LapseError('invalid', { field: path, detail: 'Text must not hold NUL or broken characters.' })
  return parsed.data
}

const isStorable = (payload: Payload): boolean => {
  let storable = true
  JSON.stringify(payload, (key, value) => {
    if (unstorable.test(key) || (typeof value === 'string' && unstorable.test(value))) storable = false
    return value
  })
  return storable
}
