import { rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { atEnd, failure } from './lifetime.mjs'

/**
 * Makes sure that one command at a time uses this folder's data. A socket cannot be left behind held, as a file with
 * a process number can: whoever still answers on it is alive. The path must be relative: a socket's is short.
 */
export const claim = async (path) => {
  const server = createServer((socket) => socket.end(String(process.pid)))
  const listen = () =>
    new Promise((resolve, reject) => {
      server.once('error', reject).listen(path, resolve)
    })
  try {
    await listen()
  } catch (error) {
    if (error.code !== 'EADDRINUSE') throw error
    const holder = await whoAnswers(path)
    if (holder) throw failure(`Lapse is running in this folder already (process ${holder}). Stop that one first.`)
    rmSync(path)
    await listen()
  }
  atEnd(() => server.close())
}

const whoAnswers = (path) =>
  new Promise((resolve) => {
    let answer = ''
    createConnection(path)
      .setTimeout(2_000, () => resolve('unknown'))
      .on('error', () => resolve(undefined))
      .on('data', (data) => {
        answer += data
      })
      .on('end', () => resolve(answer))
  })
