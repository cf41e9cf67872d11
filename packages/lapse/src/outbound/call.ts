import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as overHttp } from 'node:http'
import { request as overHttps } from 'node:https'
import { isIP } from 'node:net'
import { type Addresses, checkHeaders, hostOf, LapseError } from '@lapse/domain'
import { createResolver, LookupQueueError, NameError, pinnedTo, type Resolve } from './resolve.ts'

export type { Resolve } from './resolve.ts'

export interface Call {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  /** For all of it, the last byte of the answer included; 15 seconds unless said otherwise. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Whose call it is, and so which addresses it may go to; `null`: the host's own. */
  readonly organizationId: string | null
  /** Who shares the lookups of names: an organization's id. Default: `host`. */
  readonly share?: string | undefined
  /**
   * Awaited when the connection stands and its other end may be called, before the first byte is written. When it rejects,
   * nothing is sent and the call rejects with its error. The request may still fail afterwards with nothing sent.
   */
  readonly beforeLastByte?: (() => Promise<void>) | undefined
}

export interface Called {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The first 64 KiB. */
  readonly text: string
  /** Why the answer did not come to its end, when it did not. One that is only too long is cut, and is none the worse. */
  readonly broken: string | undefined
}

export type Caller = (call: Call) => Promise<Called>

/** There is no answer. The message says why, in words for the caller, and names no address behind a name. */
export class CallError extends Error {
  override readonly name = 'CallError'
  /** The whole request was written, its last byte included: what the other side did with it is unknown. */
  readonly sent: boolean
  /** The other side does not answer; `false` when the reason is the call itself, or that it was called off. */
  readonly unreachable: boolean

  constructor(
    message: string,
    { sent = false, unreachable = false, ...options }: ErrorOptions & { sent?: boolean; unreachable?: boolean } = {},
  ) {
    super(message, options)
    this.sent = sent
    this.unreachable = unreachable
  }
}

/** `beforeLastByte` rejected: its error is the cause, and passes through. */
class WithheldError extends Error {
  override readonly name = 'WithheldError'
}

/** How far a call has come. */
interface Progress {
  resolved: boolean
  sent: boolean
}

const longestAnswer = 64 * 1024
const longestHeaders = 16 * 1024

/**
 * Calls addresses that other people have named, so that no call can reach what is not theirs.
 *
 * A name is resolved once for each call, every address it stands for must be one that may be called, and the connection
 * goes to one of those and nowhere else. No redirect is followed, no proxy is asked, no connection is used twice.
 */
export const createCaller =
  (allAddresses: Addresses, resolve: Resolve = createResolver()): Caller =>
  async (call) => {
    const addresses = allAddresses.for(call.organizationId)
    const timeoutMs = call.timeoutMs ?? 15_000
    const late = AbortSignal.timeout(timeoutMs)
    const signal = call.signal ? AbortSignal.any([late, call.signal]) : late
    const progress: Progress = { resolved: false, sent: false }
    const inWords = (error: unknown): string => {
      if (late.aborted && !(error instanceof LookupQueueError)) return tooLate(call, timeoutMs, progress)
      return call.signal?.aborted ? 'The call was called off.' : reasonOf(error)
    }
    try {
      const url = new URL(addresses.checkUrl(call.url))
      const encrypted = url.protocol === 'https:'
      const mayCall = (address: string | undefined) =>
        address !== undefined && addresses.mayCall(address, { encrypted })
      const targets = await targetsOf(url, resolve, { signal, share: call.share })
      progress.resolved = true
      if (!targets.every(mayCall)) throw new CallError(forbidden(url, encrypted))
      const response = await answerTo(send(url, targets, mayCall, call, signal, progress))
      const { text, broken } = await read(response)
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        text,
        broken: broken === undefined ? undefined : inWords(broken),
      }
    } catch (error) {
      if (error instanceof WithheldError) throw error.cause
      const calledOff = call.signal?.aborted === true && !late.aborted
      throw new CallError(inWords(error), {
        cause: error,
        sent: progress.sent,
        unreachable: !calledOff && !isOurs(error),
      })
    }
  }

/** Nothing is wrong with the other side: the call is not one that is made. */
const isOurs = (error: unknown): boolean =>
  error instanceof LapseError || error instanceof LookupQueueError || (error instanceof CallError && !error.unreachable)

const tooLate = ({ url }: Call, timeoutMs: number, { resolved }: Progress): string => {
  const none = `There was no whole answer within ${timeoutMs / 1_000} seconds`
  if (resolved) return `${none}.`
  return `${none}: the name ${new URL(url).hostname} was not resolved. Check that the name servers of its domain answer, all of them.`
}

const targetsOf = async (url: URL, resolve: Resolve, options: Parameters<Resolve>[1]): Promise<readonly string[]> => {
  const { signal } = options
  const host = hostOf(url)
  if (isIP(host)) return [host]
  signal.throwIfAborted()
  const cut = new Promise<never>((_, reject) => {
    // Its own error, which knows more, comes first when there is one.
    signal.addEventListener('abort', () => setImmediate(() => reject(signal.reason)), { once: true })
  })
  const targets = await Promise.race([resolve(host, options), cut])
  if (targets.length === 0) throw new CallError(unknownName, { unreachable: true })
  return targets
}

/** Sends it, but not before it is certain who has taken the connection. */
const send = (
  url: URL,
  targets: readonly string[],
  mayCall: (address: string | undefined) => boolean,
  { method, headers, body, beforeLastByte }: Call,
  signal: AbortSignal,
  progress: Progress,
): ClientRequest => {
  const host = hostOf(url)
  const encrypted = url.protocol === 'https:'
  const options = {
    method,
    hostname: host,
    port: url.port,
    path: url.pathname + url.search,
    headers: {
      'User-Agent': 'Lapse',
      ...checkHeaders(headers, { most: 50 }),
      // Of some methods Node does not tell the length by itself.
      ...(body !== undefined && { 'Content-Length': String(Buffer.byteLength(body)) }),
    },
    agent: false as const,
    lookup: pinnedTo(targets),
    // With less, a host that is far away and has several addresses is never reached.
    autoSelectFamilyAttemptTimeout: 1_000,
    maxHeaderSize: longestHeaders,
    signal,
  }
  const request = encrypted
    ? overHttps({ ...options, rejectUnauthorized: true, ...(!isIP(host) && { servername: host.replace(/\.$/, '') }) })
    : overHttp(options)
  const proceed = async (remoteAddress: string | undefined): Promise<void> => {
    if (!mayCall(remoteAddress)) throw new CallError(forbidden(url, encrypted))
    await beforeLastByte?.().catch((cause: unknown) => {
      throw new WithheldError('it may not be sent', { cause })
    })
    // Not a byte has been written yet: Node sends the headers with the body.
    if (request.destroyed) return
    request.end(body, () => {
      progress.sent = true
    })
  }
  return request.once('socket', (socket) => {
    socket.once(encrypted ? 'secureConnect' : 'connect', () => {
      proceed(socket.remoteAddress).catch((error: Error) => request.destroy(error))
    })
  })
}

const answerTo = (request: ClientRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request.once('response', (response) => {
      if (request.writableEnded) return resolve(response)
      // It cannot be an answer to what has not been sent.
      request.destroy(new CallError('The host spoke before it was asked.', { unreachable: true }))
    })
    request.on('error', reject)
    // An answer that leaves HTTP ends without an error.
    const closed = 'The connection was closed without an answer.'
    request.once('close', () => reject(new CallError(closed, { unreachable: true })))
  })

/** Reads the beginning of an answer; what is left is not waited for. */
const read = async (response: IncomingMessage): Promise<{ text: string; broken?: unknown }> => {
  const chunks: Buffer[] = []
  let length = 0
  const text = () => Buffer.concat(chunks).subarray(0, longestAnswer).toString()
  try {
    for await (const chunk of response) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= longestAnswer) break
    }
    return { text: text() }
  } catch (broken) {
    return { text: text(), broken }
  }
}

const unknownName = 'Nothing is known under this name. Is the address right?'

const forbidden = ({ hostname }: URL, encrypted: boolean): string =>
  encrypted
    ? `${hostname} stands for an address that is not called, for it is not a public one. Let the name stand for public addresses only, or let whoever runs Lapse allow it.`
    : `${hostname} is not called without encryption. Give an address that begins with https://.`

/** Node's own words name addresses of the network: they are for the log alone. */
const reasonOf = (error: unknown): string => {
  if (error instanceof CallError || error instanceof NameError) return error.message
  if (error instanceof LapseError) return error.detail ?? error.message
  const code = String((error as { code?: unknown } | undefined)?.code ?? 'no code')
  return `${reasons.find(([pattern]) => pattern.test(code))?.[1] ?? 'The call failed.'} (${code})`
}

const reasons: readonly (readonly [RegExp, string])[] = [
  [/^ECONNREFUSED$/, 'The connection was refused. Does anybody listen there?'],
  [/^ECONNRESET$|^EPIPE$|^ECONNABORTED$/, 'The connection was cut before the answer had come.'],
  [/^ETIMEDOUT$|^EHOSTUNREACH$|^ENETUNREACH$|^EADDRNOTAVAIL$/, 'The host cannot be reached.'],
  [/^HPE_HEADER_OVERFLOW$/, 'The headers of the answer are longer than 16 KiB.'],
  [/^HPE_/, 'The answer is not HTTP.'],
  [/CERT|ALTNAME|ISSUER|SIGNATURE/, 'Its certificate is not valid for this name, or nobody we trust has signed it.'],
  [/^EPROTO$|SSL/, 'No encrypted connection could be made.'],
]
