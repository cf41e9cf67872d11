import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { setPriority } from 'node:os'
import type { Noise } from './noise-process.ts'

// A client that asks again and again, in a process of its own: what it takes of the cores must not delay the one that measures.
setPriority(19)

const [noise] = (await once(process, 'message')) as [Noise]
const { url, lanes, requests, headers, pauseMs = 0 } = noise
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
const answers: Record<string, number> = {}

const ask = ({ method, path, body }: Noise['requests'][number]): Promise<void> =>
  new Promise((resolve) => {
    const text = body && JSON.stringify(body)
    const count = (what: string) => {
      answers[what] = (answers[what] ?? 0) + 1
      resolve()
    }
    const outgoing = request(new URL(path, url), {
      ...{ agent, method },
      headers: {
        ...headers,
        ...(text && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
    })
    outgoing.once('error', () => count('no answer'))
    outgoing.once('response', (incoming) => {
      incoming.resume().once('error', () => count('cut off'))
      incoming.once('end', () => count(String(incoming.statusCode)))
    })
    outgoing.end(text)
  })

const lane = async (first: number) => {
  for (let i = first; ; i += lanes) {
    const wanted = requests[i % requests.length]
    if (wanted) await ask(wanted)
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}
for (let i = 0; i < lanes; i++) void lane(i)
process.on('message', () => process.send?.(answers))
process.send?.('begun')
