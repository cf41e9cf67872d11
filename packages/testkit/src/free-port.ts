import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * Below the ports that the kernel gives to connections and to servers that take any (32768 and up on Linux, 49152 and up
 * elsewhere): what is free now is not taken by those before the server it is meant for has started.
 */
const [lowest, highest] = [10_000, 32_000]
const given = new Set<number>()

/** A loopback port that nothing listens on. No port is given twice, nor taken by whatever does not choose its port. */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(lowest, highest)
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server
      .once('error', () => resolve(false))
      .listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
