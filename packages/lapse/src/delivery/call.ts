import { type Call, type Domain, GiveUp, openCall } from '@lapse/domain'
import { excerpt, secretsIn } from '../outbound/answer.ts'
import type { Caller } from '../outbound/call.ts'
import { answered, occurrenceOf, type Sender } from './sender.ts'

/** Makes the call that a resource carries. */
export const callSender =
  (domain: Domain, send: Caller): Sender =>
  async (claim, { signal, beforeLastByte }) => {
    const { row, enclosed } = occurrenceOf(claim)
    if (enclosed === null) throw new GiveUp('What it was to call has been erased. Schedule it again.')
    const { timeoutMs, ...call } = openCall(domain.secrets, row, enclosed)
    const { id, attempt, share } = claim.delivery
    const numbered = withDefault(call.headers, 'Lapse-Attempt', String(attempt))
    const headers = withDefault(numbered, 'Idempotency-Key', id)
    const called = await send({
      ...call,
      organizationId: row.organizationId,
      headers,
      timeoutMs,
      signal,
      share,
      beforeLastByte,
    })
    return answered(called, excerpt(called.text, secretsOf(call)), { isFinal })
  }

const withDefault = (headers: Call['headers'], name: string, value: string): Call['headers'] =>
  Object.keys(headers).some((own) => own.toLowerCase() === name.toLowerCase()) ? headers : { ...headers, [name]: value }

/** The other side does not want it like this, and the next time it would be the same: whoever gave it has to look. */
const isFinal = (status: number): boolean => status >= 300 && status < 500 && ![408, 425, 429].includes(status)

/** All of a call that is not shown: its headers, what it carries, and what follows its path. */
const secretsOf = ({ url, headers, body = '' }: Call): string[] => {
  const { search, searchParams } = new URL(url)
  return [...secretsIn(headers), search.slice(1), ...searchParams.values(), body, ...textsIn(body)]
}

const textsIn = (body: string): string[] => {
  const texts: string[] = []
  try {
    JSON.parse(body, (_, value) => {
      if (typeof value === 'string') texts.push(value)
    })
  } catch {
    // It is no JSON, and taken as a whole.
  }
  return texts
}
