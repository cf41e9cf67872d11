import { LapseError } from '../errors.ts'
import type { HttpCallPayload } from '../kinds/http-call.ts'
import type { Addresses } from '../outbound/addresses.ts'
import { checkHeaders } from '../outbound/headers.ts'
import type { Secrets } from '../secret.ts'

/** What is to be called, and with what. */
export interface CallInput {
  readonly url: string
  /** `POST` unless said otherwise. */
  readonly method?: HttpCallPayload['method'] | undefined
  /** At most 30. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** A text goes out as it is, and anything else as JSON; at most 64 KiB. */
  readonly body?: unknown
}

/** A call as it will be made. */
export interface Call {
  readonly method: HttpCallPayload['method']
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

const mostHeaders = 30
const largestBody = 64 * 1024

/** @throws LapseError `invalid`, naming the field */
export const callOf = ({ url, method = 'POST', headers = {}, body }: CallInput, addresses: Addresses): Call => {
  const checked = checkHeaders(headers, { most: mostHeaders })
  const whole = addresses.checkUrl(url)
  if (body === undefined) return { method, url: whole, headers: checked, body: undefined }
  if (method === 'GET' || method === 'HEAD')
    throw new LapseError('invalid', { field: 'body', detail: `A ${method} has none. Leave it out, or use POST.` })
  const isTyped = Object.keys(checked).some((name) => name.toLowerCase() === 'content-type')
  const type = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json'
  return {
    method,
    url: whole,
    headers: isTyped ? checked : { 'content-type': type, ...checked },
    body: textOf(body),
  }
}

const textOf = (body: unknown): string => {
  const text = typeof body === 'string' ? body : jsonOf(body)
  const no = (detail: string) => new LapseError('invalid', { field: 'body', detail })
  if (text === undefined) throw no('Give JSON, or a text.')
  if (/\p{Surrogate}/u.test(text)) throw no('Text must not hold broken characters.')
  if (Buffer.byteLength(text) > largestBody) throw no('At most 64 KiB.')
  return text
}

const jsonOf = (body: unknown): string | undefined => {
  try {
    return JSON.stringify(body)
  } catch {
    return undefined
  }
}

/** An address without what may be secret in it. */
export const publicPart = (url: string): string => {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}

/** @throws LapseError `not_configured` without LAPSE_SECRET */
export const sealCall = (secrets: Secrets, resourceId: string, { url, headers, body }: Call): Buffer =>
  secrets.seal(resourceId, { url, headers: JSON.stringify(headers), ...(body !== undefined && { body }) })

/** What a resource encloses. @throws LapseError `not_configured` when no key opens it */
export const openCall = (
  secrets: Secrets,
  { id, payload }: { readonly id: string; readonly payload: object },
  enclosed: Uint8Array,
): Call & { readonly timeoutMs: number } => {
  const { method, timeoutSeconds } = payload as HttpCallPayload
  const { url = '', headers = '{}', body } = secrets.open(id, enclosed)
  return { method, url, headers: JSON.parse(headers), body, timeoutMs: timeoutSeconds * 1_000 }
}
