import { randomInt } from 'node:crypto'
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

/**
 * Below the ports that the kernel gives to connections: what is free now is still free when a server that was stopped there
 * is started again.
 */
const [lowest, highest] = [10_000, 32_000]

/** `preferred` when it is free, else any free port. */
export const freePort = async (preferred = 0, host = '127.0.0.1') => {
  for (let port = preferred || randomInt(lowest, highest); ; port = randomInt(lowest, highest)) {
    try {
      return await listenOnce(port, host)
    } catch (error) {
      if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') throw error
    }
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
