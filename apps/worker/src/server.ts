import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describeRedis, type RedisState } from 'lapse'
import type { Metrics } from './metrics.ts'

export interface HealthServer {
  readonly url: string
  close(): Promise<void>
}

/** `/healthz`: alive. `/readyz`: doing its work. `/metrics`: for Prometheus. */
export const startHealthServer = async (
  address: { host: string; port: number },
  metrics: Metrics,
  isReady: () => boolean,
  redis: () => RedisState,
): Promise<HealthServer> => {
  const server = createServer(async (request, response) => {
    const send = (status: number, body: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
    const path = request.url?.split('?')[0]
    if (path === '/healthz') return send(200, 'alive\n')
    if (path === '/readyz')
      return isReady() ? send(200, readyText(redis())) : send(503, 'no sweep has succeeded lately\n')
    if (path !== '/metrics') return send(404, 'Only /healthz, /readyz and /metrics are here.\n')
    try {
      return send(200, await metrics.registry.metrics(), metrics.registry.contentType)
    } catch {
      return send(503, 'PostgreSQL cannot be asked right now.\n')
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
