import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { UnreachableError } from '../delivery/sender.ts'
import { NameError, pinnedTo, type Resolve } from '../outbound/resolve.ts'

interface Server {
  readonly host?: string
  readonly port?: number
  readonly secure?: boolean
  readonly localAddress?: string
}

/** nodemailer's own option: it speaks SMTP, and TLS, over the connection that it is given. */
type GetSocket = (server: Server, done: (error: Error | null, socket?: { connection: Socket }) => void) => void

/**
 * Connections to the mail server whose name is resolved without libuv's threads: nodemailer falls back to `dns.lookup`.
 * While the name servers fail, the addresses found last are good enough.
 */
export const connectBy = (resolve: Resolve, timeoutMs: number): GetSocket => {
  let last: readonly string[] = []

  const addressesOf = async (host: string, signal: AbortSignal): Promise<readonly string[]> => {
    if (isIP(host)) return [host]
    try {
      const found = await resolve(host, { signal })
      if (found.length === 0) throw new NameError(`The mail server’s name ${host} has no address. Check SMTP_URL.`)
      last = found
    } catch (error) {
      if (last.length === 0) throw error
    }
    return last
  }

  const open = async ({ host = 'localhost', port, secure, localAddress }: Server): Promise<Socket> => {
    const late = AbortSignal.timeout(timeoutMs)
    const addresses = await addressesOf(host, late)
    const socket = connect({
      host,
      port: port ?? (secure ? 465 : 587),
      lookup: pinnedTo(addresses),
      autoSelectFamilyAttemptTimeout: 1_000,
      ...(localAddress !== undefined && { localAddress }),
    })
    try {
      await once(socket, 'connect', { signal: late })
      return socket
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  return (server, done) =>
    void open(server).then(
      (connection) => done(null, { connection }),
      (cause: Error) => {
        const why = cause instanceof NameError ? cause.message : `It cannot be connected to (${codeOf(cause)}).`
        done(new UnreachableError(`The mail server does not answer. ${why} Check SMTP_URL and the server.`, { cause }))
      },
    )
}

const codeOf = (error: NodeJS.ErrnoException): string => error.code ?? error.name
