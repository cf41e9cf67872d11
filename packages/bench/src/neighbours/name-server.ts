import { createSocket } from 'node:dgram'
import { fileURLToPath } from 'node:url'

/** Where it listens: known before it is started, since processes are told of it when they start. */
const port = 25_353

/** For processes that are to ask it: whatever resolves through `dns.Resolver` does. */
export const preloadOf = (): Record<string, string> => ({
  NODE_OPTIONS: `--import=${fileURLToPath(new URL('../../../../scripts/private-names.mjs', import.meta.url))}`,
  PRIVATE_NAME_SERVER: `127.0.0.1:${port}`,
})

/** A name server that never answers, as those of an abandoned domain. It counts what it is asked. */
export const nameServer = async (): Promise<{ asked(): number; close(): void }> => {
  let asked = 0
  const socket = createSocket('udp4', () => {
    asked += 1
  })
  await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(port, '127.0.0.1', resolve))
  return { asked: () => asked, close: () => void socket.close() }
}
