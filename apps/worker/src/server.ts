import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describeRedis, type RedisState } from 'lapse'
import type { Metrics } from './metrics.ts'

export interface HealthServer {
  readonly url: string
  close(): Promise<void>
}

/**
 * `/healthz`: alive. `/readyz`: doing its work. `/metrics`: for Prometheus. It listens before anything else is begun, so that
 * a start that takes its time is not taken for a process that hangs. `unready`: why it is not doing its work.
 */
export const startHealthServer = async (
  address: { host: string; port: number },
  metrics: Metrics,
  unready: () => string | undefined,
  redis: () => RedisState,
): Promise<HealthServer> => {
  const server = createServer(async (request, response) => {
    const send = (status: number, body: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
    const path = request.url?.split('?')[0]
    if (path === '/healthz') return send(200, 'alive\n')
    const why = path === '/readyz' ? unready() : undefined
    if (path === '/readyz') return why === undefined ? send(200, readyText(redis())) : send(503, `${why}\n`)
    if (path !== '/metrics') return send(404, 'Only /healthz, /readyz and /metrics are here.\n')
    try {
      return send(200, await metrics.registry.metrics(), metrics.registry.contentType)
    } catch (error) {
      metrics.failed('metrics')
      return send(503, `The metrics cannot be read right now: ${(error as Error).message}\n`)
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(address.port, address.host, resolve)
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://${address.host}:${port}`, close: () => closing(server) }
}

/** Without Redis it does its work all the same: it sweeps every second. */
const readyText = (redis: RedisState): string =>
  redis.status === 'ok' ? 'ready\n' : `ready, without Redis. ${describeRedis(redis)}\n`

const closing = (server: Server) =>
  new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
