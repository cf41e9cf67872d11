import { parse, stringify } from 'uuid'
import type { Secrets } from '../secret.ts'

/** Whose it is, and until when, in epoch milliseconds. Whether that is good is the database's to say. */
export interface Pass {
  readonly id: string
  readonly until: number
}

const prefix = 'lps_pass_'

/** So that nothing else that was sealed for the resource is taken for a pass. */
const purposeOf = (id: string): string => `pass ${id}`

/** @throws LapseError `not_configured` */
export const sealPass = (secrets: Secrets, id: string, until: Date): string => {
  const sealed = secrets.seal(purposeOf(id), { until: String(until.getTime()) })
  return `${prefix}${Buffer.concat([parse(id), sealed]).toString('hex')}`
}

/** Nothing for what no key of ours has sealed. */
export const openPass = (secrets: Secrets, pass: string): Pass | undefined => {
  if (!/^lps_pass_([0-9a-f]{2}){50,100}$/.test(pass)) return undefined
  const bytes = Buffer.from(pass.slice(prefix.length), 'hex')
  try {
    const id = stringify(bytes)
    const { until } = secrets.open(purposeOf(id), bytes.subarray(16))
    return { id, until: Number(until) }
  } catch {
    return undefined
  }
}
