import { Agent, request } from 'node:http'
import type { Instant, ServerError } from './history.ts'

export interface HttpAnswer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever was answered; each kind knows its own.
  readonly body: any
}

const longestMs = 12_000

/** Asks one of the APIs, as a load balancer would: another one when nobody listens there. */
export class Client {
  readonly serverErrors: ServerError[] = []
  requests = 0
  dropped = 0
  /** How many wait for their answer. */
  waiting = 0
  readonly #urls: readonly string[]
  readonly #token: string
  readonly #now: () => Instant
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 200 })

  constructor(urls: readonly string[], token: string, now: () => Instant) {
    this.#urls = urls
    this.#token = token
    this.#now = now
  }

  /** Undefined when there was no answer: then nobody knows what has been done. */
  async ask(method: string, path: string, body?: object, key?: string): Promise<HttpAnswer | undefined> {
    const first = this.requests++ % this.#urls.length
    for (let i = 0; i < this.#urls.length; i++) {
      const url = new URL(path, this.#urls[(first + i) % this.#urls.length])
      const since = this.#now()
      this.waiting++
      try {
        const answer = await this.#send(url, method, body, key)
        // A load balancer asks /readyz first: one that says that it is starting has not begun anything.
        if (answer.status === 503 && /^Lapse is starting/.test(answer.body?.detail)) continue
        if (answer.status >= 500) {
          const at = { since, at: this.#now(), status: answer.status, where: `${method} ${path}` }
          this.serverErrors.push({ ...at, body: JSON.stringify(answer.body).slice(0, 300) })
        }
        return answer
      } catch (error) {
        // Refused: it was not even begun.
        if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') continue
        this.dropped++
        return undefined
      } finally {
        this.waiting--
      }
    }
    return undefined
  }

  close(): void {
    this.#agent.destroy()
  }

  #send(url: URL, method: string, body: object | undefined, key: string | undefined): Promise<HttpAnswer> {
    const text = body && JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const outgoing = request(url, {
        agent: this.#agent,
        method,
        headers: {
          authorization: `Bearer ${this.#token}`,
          ...(text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          ...(key !== undefined && { 'idempotency-key': key }),
        },
      })
      const tooLong = setTimeout(() => outgoing.destroy(new Error('No answer.')), longestMs)
      outgoing.once('close', () => clearTimeout(tooLong)).once('error', reject)
      outgoing.once('response', (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).once('error', reject)
        incoming.once('aborted', () => reject(new Error('Cut off.')))
        incoming.once('end', () => {
          const answered = Buffer.concat(chunks).toString()
          try {
            resolve({ status: incoming.statusCode ?? 0, body: answered === '' ? {} : JSON.parse(answered) })
          } catch (error) {
            reject(error)
          }
        })
      })
      outgoing.end(text)
    })
  }
}
