import { type Readable, Transform } from 'node:stream'

export interface LastByte {
  /** A connection has begun with this mail: its envelope is next. */
  readonly started: () => void
  /** The server has taken the envelope and is given the text: the last byte waits for this. */
  readonly mayGo: () => Promise<void>
  /** The last byte goes out now. */
  readonly sent: () => void
}

/**
 * A message whose last byte, without which no server takes it, waits until it may go.
 *
 * A stream is read ahead of the server, so that all of a short message has been read before its envelope is accepted. What
 * counts is who reads from here: the connection does when the server has answered `DATA`.
 */
export const holdLastByte = (message: Readable, { started, mayGo, sent }: LastByte): Readable => {
  started()
  let beRead = (): void => {}
  const isRead = new Promise<void>((resolve) => {
    beRead = resolve
  })
  const held = new Transform({
    transform: (chunk, _, done) => done(null, chunk),
    flush: (done) => void isRead.then(mayGo).then(() => done(), done),
  })
  held.once('resume', beRead).on('newListener', (event) => {
    if (event === 'readable') beRead()
  })
  // The connection adds the final dot when it hears of the end, after this.
  held.once('end', sent)
  message.once('error', (error) => held.destroy(error))
  return message.pipe(held)
}
