import { privateCluster, privateRedis, privateSentinels, tlsFiles } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { stage } from './stage.ts'

/** The application beside it speaks in the clear; the worker only by TLS. */
const endsByItsTimer = async (plain: { url: string }, tls: { url: string; authority: string } | undefined) => {
  const app = await stage(plain)
  const worker = await app.startWorker({ REDIS_URL: tls?.url ?? '', NODE_EXTRA_CA_CERTS: tls?.authority ?? '' })
  const { id, timer } = await app.lapse.issue('pass', { expiresIn: 1_500 })
  expect(timer).toBe('armed')
  const { trigger } = await app.happened(id, 'expired')
  await worker.stop()
  return trigger
}

describe('with TLS', () => {
  it('to one server (rediss://), what is armed fires by itself', async () => {
    const { settings, port, authority } = await tlsFiles()
    const redis = await privateRedis({ settings })
    expect(await endsByItsTimer(redis, { url: `rediss://localhost:${port}`, authority })).toBe('job')
  }, 60_000)

  it('to a cluster (rediss+cluster://), whose servers are known by their names, what is armed fires by itself', async () => {
    const cluster = await privateCluster({ tls: true })
    expect(await endsByItsTimer(cluster, cluster.tls)).toBe('job')
  }, 60_000)

  it('to sentinels and the master that they name (rediss+sentinel://), what is armed fires by itself', async () => {
    const { master, tls } = await privateSentinels({ tls: true })
    expect(await endsByItsTimer(master, tls)).toBe('job')
  }, 60_000)

  it('a server that nobody vouches for is not spoken to: what is due is swept all the same', async () => {
    const { settings, port } = await tlsFiles()
    const app = await stage(await privateRedis({ settings }))
    const worker = await app.startWorker({ REDIS_URL: `rediss://localhost:${port}` })
    const { id } = await app.lapse.issue('pass', { expiresIn: 1_500 })
    expect(await app.happened(id, 'expired')).toMatchObject({ trigger: 'sweep' })
    expect(worker.output()).toContain('self-signed certificate')
    await worker.stop()
  }, 60_000)
})
