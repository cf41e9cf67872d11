import { acceptWrites, askRedis, privateRedis, refuseWrites, startProcess, stopwatch, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { board, caller, testApi, token } from './api.ts'

describe('Redis away', () => {
  it('issuing answers 201 with a pending timer, every verb works, and all is armed again when it is back', async () => {
    const redis = await privateRedis()
    const { call, timers } = await testApi({ redis })
    const before = (await call('POST', '/v1/resources', { kind: 'pass' })).body
    expect(before.timer).toBe('armed')
    await redis.stop()

    const clock = stopwatch()
    const issued = await call('POST', '/v1/resources', { kind: 'pass' }, { 'idempotency-key': 'away' })
    expect([issued.status, issued.body.timer]).toEqual([201, 'pending'])
    const again = await call('POST', '/v1/resources', { kind: 'pass' }, { 'idempotency-key': 'away' })
    expect([again.body.id, again.headers.get('idempotent-replayed')]).toEqual([issued.body.id, 'true'])
    const trial = await call('POST', '/v1/trials', {})
    expect([trial.status, trial.body.timer]).toEqual([201, 'pending'])
    expect((await call('POST', `/v1/resources/${before.id}/renew`, { expires_in: 60 })).body.timer).toBe('pending')
    expect((await call('POST', `/v1/resources/${before.id}/check`)).body.allowed).toBe(true)
    expect((await call('POST', `/v1/resources/${before.id}/revoke`)).body.status).toBe('revoked')
    expect((await call('POST', `/v1/resources/${before.id}/check`)).body).toMatchObject({
      allowed: false,
      reason: 'revoked',
    })
    expect(clock.ms()).toBeLessThan(5_000)

    const ready = await call('GET', '/readyz')
    expect([ready.status, ready.body.redis]).toEqual([200, 'away'])
    const authorization = `Basic ${btoa(`${board.user}:${board.password}`)}`
    expect((await call('GET', '/queues/api/queues', undefined, { authorization })).status).toBe(503)

    await redis.start()
    const late = await until(
      async () => {
        const { body } = await call('POST', '/v1/resources', { kind: 'pass' })
        return body.timer === 'armed' && body
      },
      { what: 'a timer that is armed' },
    )
    expect(await timers(late.id)).toHaveLength(1)
    expect((await call('GET', '/readyz')).body.redis).toBe('well')
  })

  it('frozen: an answer takes no longer than its time-out', async () => {
    const redis = await privateRedis()
    const { call } = await testApi({ redis })
    redis.pause()
    const clock = stopwatch()
    const { status, body } = await call('POST', '/v1/resources', { kind: 'pass' })
    expect([status, body.timer]).toEqual([201, 'pending'])
    expect((await call('GET', '/readyz')).body.redis).toBe('away')
    expect(clock.ms()).toBeLessThan(4_000)
    redis.resume()
  })

  it('refusing writes: issuing answers 201 with a pending timer, and /readyz says why, in one write however many ask', async () => {
    const redis = await privateRedis()
    const { call } = await testApi({ redis })
    await refuseWrites(redis.url, 'NOREPLICAS')
    const issued = await Promise.all(Array.from({ length: 20 }, () => call('POST', '/v1/resources', { kind: 'pass' })))
    expect(new Set(issued.map(({ status, body }) => `${status} ${body.timer}`))).toEqual(new Set(['201 pending']))
    const refusedWrites = () =>
      askRedis(redis.url, async (client) =>
        Number(/cmdstat_set:.*rejected_calls=(\d+)/.exec(await client.info('commandstats'))?.[1]),
      )
    const [before, began] = [await refusedWrites(), performance.now()]
    const answers = await Promise.all(Array.from({ length: 300 }, () => call('GET', '/readyz')))
    const said = new Set(answers.map(({ status, body }) => `${status} ${body.redis} ${body.redis_detail}`))
    // Where this machine is so busy that Redis does not answer in time.
    said.delete('200 away undefined')
    expect(said).toEqual(new Set(['200 refusing NOREPLICAS Not enough good replicas to write.']))
    // Twice a second at most.
    expect((await refusedWrites()) - before).toBeLessThanOrEqual(Math.ceil((performance.now() - began) / 500) + 1)
    await acceptWrites(redis.url, 'NOREPLICAS')
    await until(async () => (await call('POST', '/v1/resources', { kind: 'pass' })).body.timer === 'armed')
  })

  it('an API that starts meanwhile works, and arms timers once Redis is there', async () => {
    const redis = await privateRedis()
    await redis.stop()
    const { call } = await testApi({ redis })
    expect((await call('POST', '/v1/resources', { kind: 'pass' })).body.timer).toBe('pending')
    await redis.start()
    await until(async () => (await call('POST', '/v1/resources', { kind: 'pass' })).body.timer === 'armed')
  })

  it('B8: revoked at one of two APIs, the next request is denied at both; a second revoke is quiet', async () => {
    const redis = await privateRedis()
    const { age, variables } = await testApi({ redis })
    const { PORT: _, ...env } = { ...variables, LAPSE_ROOT_TOKEN: token, LAPSE_CONFIG: config }
    const apis = [await startProcess({ entry: 'api', env }), await startProcess({ entry: 'api', env })]
    const [one, other] = apis.map((api) => caller(api.url)) as [ReturnType<typeof caller>, ReturnType<typeof caller>]
    const { id } = (await one('POST', '/v1/resources', { kind: 'ticket', expires_in: 3_600 })).body
    expect((await other('POST', `/v1/resources/${id}/check`)).body.allowed).toBe(true)
    await redis.stop()
    expect((await one('POST', `/v1/resources/${id}/revoke`, { reason: 'stolen' })).body.status).toBe('revoked')
    for (const call of [one, other]) {
      expect((await call('POST', `/v1/resources/${id}/check`)).body).toMatchObject({
        allowed: false,
        reason: 'revoked',
      })
      expect((await call('POST', `/v1/resources/${id}/consume`)).status).toBe(409)
      expect((await call('GET', `/v1/resources/${id}`)).body.status).toBe('revoked')
    }
    const again = await other('POST', `/v1/resources/${id}/revoke`)
    expect([again.status, again.body.status]).toEqual([200, 'revoked'])
    await age(id, 3_601)
    await redis.start()
    const { items } = (await other('GET', `/v1/resources/${id}/events`)).body
    expect(items.map((event: { type: string }) => event.type)).toEqual(['revoked', 'issued'])
    for (const api of apis) expect(await api.stop()).toMatchObject({ code: 0 })
  })
})

const config = new URL('./kinds.config.ts', import.meta.url).pathname
