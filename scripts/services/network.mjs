import { createConnection, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const listenOnce = (port, host) =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject).listen({ port, host }, () => {
      const { port: given } = server.address()
      server.close(() => resolve(given))
    })
  })

/** `preferred` when nobody has it, else any free port. */
export const freePort = async (preferred = 0, host = '127.0.0.1') => {
  try {
    return await listenOnce(preferred, host)
  } catch (error) {
    if (preferred === 0) throw error
    return listenOnce(0, host)
  }
}

/** Whether somebody accepts connections there. */
export const accepts = (port, host = '127.0.0.1', timeout = 1_000) =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host })
    const answer = (yes) => {
      socket.destroy()
      resolve(yes)
    }
    socket
      .setTimeout(timeout, () => answer(false))
      .on('error', () => answer(false))
      .on('connect', () => answer(true))
  })

/** Asks `probe` until it answers something truthy and returns that; undefined when `timeout` ms pass first. */
export const until = async (probe, timeout, pause = 25) => {
  for (const deadline = Date.now() + timeout; ; await sleep(pause)) {
    const answer = await probe()
    if (answer || Date.now() > deadline) return answer || undefined
  }
}
