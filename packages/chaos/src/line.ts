import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net'

interface Pair {
  readonly client: Socket
  readonly server: Socket
  frozen: boolean
}

/** What is done with a piece of a request: passed on, or passed on and the line cut before the answer, or neither. */
export type Trap = (piece: Buffer) => 'pass' | 'pass and cut' | 'cut'

/** A line between one process and one server, which can be disturbed. */
export class Line {
  readonly #pairs = new Set<Pair>()
  readonly #server: Server
  /** How long each piece is held up, either way. */
  delayMs = 0
  trap: Trap | undefined

  private constructor(toPort: number) {
    this.#server = createServer((client) => this.#join(client, createConnection(toPort, '127.0.0.1')))
  }

  static async to(port: number): Promise<Line> {
    const line = new Line(port)
    await new Promise<void>((resolve) => line.#server.listen(0, '127.0.0.1', resolve))
    return line
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Breaks every connection, so that both ends know. */
  cut(): void {
    for (const pair of this.#pairs) end(pair)
  }

  /** From now on nothing goes through these connections any more, and nobody is told. New ones work. */
  freeze(): void {
    for (const pair of this.#pairs) pair.frozen = true
  }

  close(): void {
    this.#server.close()
    this.cut()
  }

  #join(client: Socket, server: Socket): void {
    const pair: Pair = { client, server, frozen: false }
    this.#pairs.add(pair)
    const forget = () => {
      this.#pairs.delete(pair)
      if (!pair.frozen || client.destroyed) end(pair)
    }
    this.#carry(pair, client, server, () => this.trap)
    this.#carry(pair, server, client, () => undefined)
    for (const socket of [client, server])
      socket
        .setNoDelay()
        .on('error', () => {})
        .on('close', forget)
  }

  #carry(pair: Pair, from: Socket, to: Socket, trap: () => Trap | undefined): void {
    let before = Promise.resolve()
    let held = 0
    const pass = (piece: Buffer) => {
      if (pair.frozen || to.destroyed) return
      const verdict = trap()?.(piece) ?? 'pass'
      if (verdict !== 'cut' && !to.write(piece)) {
        from.pause()
        to.once('drain', () => from.resume())
      }
      if (verdict === 'pass') return
      pair.client.destroy()
      // What was sent is done, but for the answer.
      setTimeout(() => end(pair), verdict === 'cut' ? 0 : 300).unref()
    }
    from.on('data', (piece: Buffer) => {
      if (this.delayMs === 0 && held === 0) return pass(piece)
      held++
      const { delayMs } = this
      before = before
        .then(() => new Promise((resolve) => setTimeout(resolve, delayMs)))
        .then(() => {
          held--
          pass(piece)
        })
    })
    from.on('end', () => {
      if (!pair.frozen) to.end()
    })
  }
}

const end = ({ client, server }: Pair): void => {
  client.destroy()
  server.destroy()
}
