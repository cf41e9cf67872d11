import { Agent, request } from 'node:http'

export interface Answer {
  /** From the request's last byte going out to the answer's last byte coming in. */
  readonly ms: number
  /** All that can be seen of it, but for its date. */
  readonly seen: string
}

/** Asks over one connection that it keeps, each time in the name of another address, so that it meets no client's limit. */
export const openClient = (url: string) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let asked = 0
  return {
    post: (path: string, body: object, headers: Record<string, string> = {}): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const text = JSON.stringify(body)
        const outgoing = request(new URL(path, url), {
          agent,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(text),
            'x-forwarded-for': addressOf(++asked),
            ...headers,
          },
        })
        let start = 0
        outgoing.once('error', reject).once('response', (incoming) => {
          const { statusCode, headers } = incoming
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).once('error', reject)
          incoming.once('end', () => {
            const ms = performance.now() - start
            const seen = [statusCode, JSON.stringify({ ...headers, date: '' }), Buffer.concat(chunks).toString()]
            resolve({ ms, seen: seen.join('\n') })
          })
        })
        start = performance.now()
        outgoing.end(text)
      }),
    close: () => agent.destroy(),
  }
}

const addressOf = (n: number): string => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
