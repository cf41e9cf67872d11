import { LapseError } from './errors.ts'
import type { Kind, Payload } from './kind.ts'
import { unstorable } from './text.ts'

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
