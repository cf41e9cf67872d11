import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { HttpError, problemOf } from './problem.ts'

const refusals: Record<string, HttpError> = {
  HPE_HEADER_OVERFLOW: new HttpError('headers_too_large', { detail: 'Send at most 16 KiB of headers.' }),
  ERR_HTTP_REQUEST_TIMEOUT: new HttpError('too_slow', { detail: 'Send the whole request within 30 seconds.' }),
}

const noHttp = new HttpError('malformed', { detail: 'This is not HTTP/1.1.' })

/** Answers what did not become a request, as a problem too, and closes the connection: what comes on it next cannot be told apart. */
export const answerUnreadable =
  (headers: Readonly<Record<string, string>>) =>
  (error: Error & { code?: string }, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || socket.destroyed) return
    if (!socket.writable) return void socket.destroy(error)
    const refusal = refusals[error.code ?? ''] ?? noHttp
    const body = JSON.stringify(problemOf(refusal, randomUUID()))
    const lines = Object.entries({
      ...headers,
      'content-type': 'application/problem+json',
      'content-length': String(Buffer.byteLength(body)),
      connection: 'close',
    }).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.end(`HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${lines.join('')}\r\n${body}`)
  }
