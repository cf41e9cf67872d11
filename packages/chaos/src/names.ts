import { createSocket } from 'node:dgram'

/** A name server that never answers, as those of an abandoned domain. */
export interface Names {
  readonly address: string
  /** How many questions have come. */
  asked(): number
  close(): void
}

export const silentNameServer = async (): Promise<Names> => {
  let asked = 0
  const socket = createSocket('udp4', () => {
    asked += 1
  })
  await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(0, '127.0.0.1', resolve))
  return { address: `127.0.0.1:${socket.address().port}`, asked: () => asked, close: () => void socket.close() }
}
