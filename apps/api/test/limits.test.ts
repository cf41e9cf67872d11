import { randomUUID } from 'node:crypto'
import { privateRedis, stopwatch, testRedis, until } from '@lapse/testkit'
import { type ApiToken, createLapse, type Queues } from 'lapse'
import { afterAll, describe, expect, it } from 'vitest'
import { clientOf, createLimits, type LimitsOptions } from '../src/http/limits.ts'
import { HttpError } from '../src/http/problem.ts'
import { type Answer, board, caller, testApi, token } from './api.ts'

/** The limits of one process, as the API makes them. */
const process = async (redis: { url: string; prefix?: string } = testRedis(), rates: LimitsOptions['rates'] = {}) => {
  const { prefix = 'lapse' } = redis
  const lapse = createLapse({ databaseUrl: 'postgresql://localhost:1/none', redisUrl: redis.url, prefix })
  afterAll(() => lapse.close())
  const { queues } = lapse
  await queues.begun
  const refused: string[] = []
  const limits = createLimits(queues, { key: 'a key of the tests', onRefused: (name) => refused.push(name), rates })
  const counts = async () => {
    const keys = await queues.redis.keys(`${prefix}:limits:*`)
    return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await queues.redis.get(key)])))
  }
  return { ...limits, queues, refused, counts }
}

/** How many of these were let through; anything else than a refusal by a limit is an error. */
const passed = async (asked: Promise<unknown>[]): Promise<number> => {
  const all = await Promise.all(asked.map((one) => one.then(() => true, tooMany)))
  return all.filter(Boolean).length
}

const tooMany = (error: unknown): false => {
  if (error instanceof HttpError && error.code === 'too_many') return false
  throw error
}

const times = <T>(count: number, one: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => one(i))

const ready = ({ redis }: Queues) => until(() => redis.status === 'ready', { what: 'the connection to Redis' })

const elapsed = async (work: () => Promise<unknown>): Promise<number> => {
  const clock = stopwatch()
  await work()
  clock.stop()
  return clock.ms()
}

describe('redemption', () => {
  it('20 failures of an address, then it is refused for a quarter of an hour, and no other address is', async () => {
    const { redemption, refused } = await process()
    for (const i of times(20, (n) => n)) await redemption.attempt('192.0.2.1', `guess-${i}`)
    const refusal = await redemption.attempt('192.0.2.1', 'right').catch((error) => error)
    expect(refusal).toMatchObject({ code: 'too_many', status: 429 })
    expect(refusal.headers['retry-after']).toMatch(/^\d+$/)
    expect(Number(refusal.headers['retry-after'])).toBeGreaterThan(880)
    expect(Number(refusal.headers['retry-after'])).toBeLessThanOrEqual(900)
    await redemption.attempt('192.0.2.2', 'right')
    expect(refused).toEqual(['redemption-address'])
  })

  it('10 failures at a selector, whatever the addresses; both refusals read the same', async () => {
    const { redemption, refused } = await process()
    for (const i of times(10, (n) => n)) await redemption.attempt(`192.0.2.${i}`, 'this-one')
    const bySelector = await redemption.attempt('198.51.100.1', 'this-one').catch((error) => error)
    await redemption.attempt('198.51.100.1', 'another')
    for (const _ of times(20, () => 0)) await redemption.attempt('203.0.113.1')
    const byAddress = await redemption.attempt('203.0.113.1').catch((error) => error)
    expect(refused).toEqual(['redemption-selector', 'redemption-address'])
    expect([bySelector.message, bySelector.detail]).toEqual([byAddress.message, byAddress.detail])
    expect(`${bySelector.message} ${bySelector.detail}`).not.toMatch(/selector|address|token/)
  })

  it('of 100 guesses at the same time in two processes 20 are let through', async () => {
    const redis = testRedis()
    const [one, other] = [await process(redis), await process(redis)]
    const guesses = times(100, (i) => (i % 2 ? one : other).redemption.attempt('192.0.2.1', `guess-${i}`))
    expect(await passed(guesses)).toBe(20)
  })

  it('success gives both back, so that right ones never add up; failures in between do', async () => {
    const { redemption, counts } = await process()
    const failures = times(9, (i) => 20 * i)
    for (const i of times(200, (n) => n)) {
      const attempt = await redemption.attempt('192.0.2.1', 'the-token')
      if (!failures.includes(i)) attempt.giveBack()
    }
    expect(Object.values(await counts())).toEqual(['9', '9'])
  })

  it('a refusal counts nothing: neither here, nor at the limit that would have let it through', async () => {
    const { redemption, counts } = await process()
    const all = times(100, () => redemption.attempt('192.0.2.1'))
    expect(await passed(all)).toBe(20)
    for (const one of all) await one.then((attempt) => attempt.giveBack(), tooMany)
    expect(await counts()).toEqual({})
    for (const i of times(10, (n) => n)) await redemption.attempt(`192.0.2.${i}`, 'blocked')
    expect(await passed(times(30, () => redemption.attempt('198.51.100.1', 'blocked')))).toBe(0)
    expect(await passed(times(30, (i) => redemption.attempt('198.51.100.1', `free-${i}`)))).toBe(20)
    // That address has none left, which is no reason to block tokens.
    expect(await passed(times(30, () => redemption.attempt('198.51.100.1', 'somebody-elses')))).toBe(0)
    await redemption.attempt('203.0.113.1', 'somebody-elses')
    const left = await passed(times(30, (i) => redemption.attempt(`203.0.113.${100 + i}`, 'somebody-elses')))
    expect(left).toBe(9)
  })

  it('an attempt is given back once', async () => {
    const { redemption, counts } = await process()
    const attempt = await redemption.attempt('192.0.2.1')
    await redemption.attempt('192.0.2.1')
    for (const _ of times(5, () => 0)) attempt.giveBack()
    expect(Object.values(await counts())).toEqual(['1'])
  })

  it('an attempt from a window that is over, or was flushed, gives back nothing of the next', async () => {
    const redis = testRedis()
    const short = await process(redis, { 'redemption-address': { points: 1, seconds: 4 } })
    const old = await short.redemption.attempt('192.0.2.1')
    await until(() => short.redemption.attempt('192.0.2.1'), { what: 'the next window' })
    old.giveBack()
    expect(await passed([short.redemption.attempt('192.0.2.1')])).toBe(0)

    const { redemption, queues, counts } = await process()
    await redemption.attempt('192.0.2.9')
    const [key = ''] = Object.keys(await counts())
    await queues.redis.expire(key, 100)
    const lost = [await redemption.attempt('192.0.2.9'), await redemption.attempt('192.0.2.9')]
    await queues.redis.del(key)
    lost[0]?.giveBack()
    expect(await counts()).toEqual({})
    await redemption.attempt('192.0.2.9')
    lost[1]?.giveBack()
    expect(await counts()).toEqual({ [key]: '1' })
  })

  it('a window ends by itself', async () => {
    const { redemption } = await process(testRedis(), { 'redemption-address': { points: 2, seconds: 1 } })
    expect(await passed(times(5, () => redemption.attempt('192.0.2.1')))).toBe(2)
    await until(() => redemption.attempt('192.0.2.1'), { what: 'the next window' })
  })
})

describe('mail', () => {
  it('20 requests an hour from a client address, 200 from an organization', async () => {
    const { mailFrom, refused } = await process()
    expect(await passed(times(100, () => mailFrom('192.0.2.1', 'address')))).toBe(20)
    const organization = randomUUID()
    expect(await passed(times(250, () => mailFrom(organization, 'organization')))).toBe(200)
    expect(new Set(refused)).toEqual(new Set(['mail-address', 'mail-organization']))
    const refusal = await mailFrom('192.0.2.1', 'address').catch((error) => error)
    expect(Number(refusal.headers['retry-after'])).toBeGreaterThan(3_580)
    await mailFrom('192.0.2.2', 'address')
  })

  it('5 mails an hour to one target; the sixth is quiet', async () => {
    const { mailTo, refused } = await process()
    const told = await Promise.all(times(8, () => mailTo('ada@example.com', 'sign-in')))
    expect(told.filter(Boolean)).toHaveLength(5)
    expect(await mailTo('bob@example.com', 'sign-in')).toBeDefined()
    expect(await mailTo('ada@example.com', 'host reset-password')).toBeDefined()
    expect(refused).toEqual(['mail-target', 'mail-target', 'mail-target'])
  })
})

describe('uses of an API token', () => {
  const token = (rateLimit?: { requests: number; seconds: number }) =>
    ({ id: randomUUID(), payload: { rateLimit } }) as unknown as ApiToken

  it('as many as it may, in all processes together; without a rate any number, and Redis is not asked', async () => {
    const redis = testRedis()
    const [one, other] = [await process(redis), await process(redis)]
    const limited = token({ requests: 7, seconds: 60 })
    expect(await passed(times(40, (i) => (i % 2 ? one : other).use(limited)))).toBe(7)
    expect(
      await passed([one.use(token({ requests: 7, seconds: 60 })), other.use(token({ requests: 1, seconds: 9 }))]),
    ).toBe(2)
    const before = await one.counts()
    expect(await passed(times(100, () => one.use(token())))).toBe(100)
    expect(await one.counts()).toEqual(before)
    expect([...new Set([...one.refused, ...other.refused])]).toEqual(['api-token'])
  })

  it('while Redis is away each process counts on its own', async () => {
    const redis = await privateRedis()
    const [one, other] = [await process(redis), await process(redis)]
    await redis.stop()
    const limited = token({ requests: 7, seconds: 60 })
    for (const { use } of [one, other]) expect(await passed(times(20, () => use(limited)))).toBe(7)
  })

  it('more rates than are kept are counted all the same', async () => {
    const { use } = await process()
    const limited = token({ requests: 2, seconds: 60 })
    await use(limited)
    for (const i of times(1_100, (n) => n)) await use(token({ requests: i + 3, seconds: 60 }))
    expect(await passed(times(5, () => use(limited)))).toBe(1)
  })
})

it('keys begin with the prefix, hold nothing that could be guessed, and end', async () => {
  const redis = testRedis()
  const { redemption, mailTo, mailFrom, token: bearer, queues, counts } = await process(redis)
  await redemption.attempt('192.0.2.1', 'lpi_abcdefgh')
  await mailTo('ada@example.com', 'sign-in')
  await mailFrom('192.0.2.1', 'address')
  await bearer.failed('192.0.2.1')
  const keys = Object.keys(await counts())
  expect(keys).toHaveLength(5)
  for (const key of keys) {
    expect(key).toMatch(/^test-[0-9a-f-]{36}:limits:[a-z-]+:[\w-]{43}$/)
    expect(await queues.redis.pttl(key)).toBeGreaterThan(0)
  }
  expect(keys.join()).not.toMatch(/ada|example|192|lpi_|abcdefgh/)
  // With another key other names: nobody can tell an address by hashing it.
  const other = createLimits(queues, { key: 'another key', onRefused: () => {} })
  await other.mailTo('ada@example.com', 'sign-in')
  expect(Object.keys(await counts())).toHaveLength(6)
})

describe('clients', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:5678', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['[::ffff:192.0.2.1]:443', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::99', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::99]:5678', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::99', '2001:db8:1:3::/64'],
    ['2001:db8::99', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['unknown', 'unknown'],
    ['', ''],
  ])('%s counts as %s', (ip, client) => {
    expect(clientOf(ip)).toBe(client)
  })

  it('addresses of one /64 share their failures', async () => {
    const { redemption } = await process()
    expect(await passed(times(100, (i) => redemption.attempt(`2001:db8::${i}`)))).toBe(20)
    expect(await passed([redemption.attempt('2001:db8:0:1::1')])).toBe(1)
  })
})

describe('without Redis', () => {
  it('away: every process bounds guesses on its own, at once; Redis counts again when it is back', async () => {
    const redis = await privateRedis()
    const { redemption, login, mailTo, queues, counts } = await process(redis)
    await redis.stop()
    const ms = await elapsed(async () => {
      const all = times(100, () => redemption.attempt('192.0.2.1', 'the-token'))
      expect(await passed(all)).toBe(10)
      const [first] = await Promise.all(all.slice(0, 1))
      first?.giveBack()
      first?.giveBack()
      expect(await passed(times(5, () => redemption.attempt('192.0.2.1', 'the-token')))).toBe(1)
      expect(await passed(times(5, () => redemption.attempt('192.0.2.1', 'another')))).toBe(5)
      expect(await passed(times(100, () => login.failed('192.0.2.1')))).toBe(30)
      expect(await passed([login.passed('192.0.2.1'), login.passed('192.0.2.2')])).toBe(1)
      expect((await Promise.all(times(9, () => mailTo('ada@example.com', 'sign-in')))).filter(Boolean)).toHaveLength(5)
    })
    expect(ms).toBeLessThan(900)
    await redis.start()
    await ready(queues)
    await login.failed('192.0.2.2')
    expect(Object.values(await counts())).toEqual(['1'])
    // Who is blocked here stays so: a right guess must not be told from a wrong one now either.
    expect(await passed([login.failed('192.0.2.1'), login.passed('192.0.2.1')])).toBe(0)
  })

  it('hanging: nobody waits longer than 0.3 s, and what was counted here is not counted twice', async () => {
    const redis = await privateRedis()
    const { redemption, login, queues, counts } = await process(redis)
    await redemption.attempt('192.0.2.1')
    const [key = ''] = Object.keys(await counts())
    redis.pause()
    const asked = times(50, () => redemption.attempt('192.0.2.1', randomUUID()))
    const start = performance.now()
    const ms = await elapsed(() => Promise.allSettled([...asked, login.passed('192.0.2.1')]))
    redis.resume()
    expect(performance.now() - start).toBeGreaterThan(250)
    expect(ms).toBeLessThan(900)
    expect(await passed(asked)).toBe(20)
    // Its answers come late, and the connection is in order: after the second ping all has been undone.
    await queues.redis.ping()
    await queues.redis.ping()
    expect(await counts()).toEqual({ [key]: '1' })
    // What was taken here goes back here.
    for (const one of asked) await one.then((attempt) => attempt.giveBack(), tooMany)
    expect(await counts()).toEqual({ [key]: '1' })
  })

  it('read-only: it counts here, and there again when it may be written to', async () => {
    const redis = await privateRedis()
    const { login, queues, counts } = await process(redis)
    await login.failed('192.0.2.1')
    await Promise.all(times(30, () => login.failed('192.0.2.2')))
    await queues.redis.replicaof('127.0.0.1', 1)
    const known = await counts()
    for (const _ of times(30, () => 0)) await login.failed('192.0.2.1')
    // Redis connects anew, and can be read.
    await until(async () => (await passed([login.passed('192.0.2.2')])) === 0)
    // What was full there and what is full here: the right login reads as the wrong one.
    for (const ip of ['192.0.2.1', '192.0.2.2'])
      expect(await passed([login.passed(ip), login.failed(ip), login.passed(ip)])).toBe(0)
    // Each refusal has it connect anew.
    expect(await until(() => counts())).toEqual(known)
    await until(() => queues.redis.replicaof('NO', 'ONE'))
    await until(() => queues.redis.set('writable', 1))
    await queues.redis.del('writable')
    await login.failed('192.0.2.3')
    expect(Object.keys(await counts())).toHaveLength(3)
  })

  it('a flushed Redis forgets what it counted', async () => {
    const redis = await privateRedis()
    const { redemption } = await process(redis)
    expect(await passed(times(30, () => redemption.attempt('192.0.2.1')))).toBe(20)
    await redis.flush()
    expect(await passed(times(30, () => redemption.attempt('192.0.2.1')))).toBe(20)
  })
})

describe('over HTTP', () => {
  const basic = (login: string) => `Basic ${btoa(login)}`
  const right = basic(`${board.user}:${board.password}`)
  /** How many were refused as wrong, and how many as too many. */
  const tally = (answers: Answer[]) => [401, 429].map((code) => answers.filter(({ status }) => status === code).length)

  it('bearer tokens: 30 failures of an address are told, more are 429; none sent is none, and the right one passes', async () => {
    const { call } = await testApi()
    const guess = (i: number) => call('GET', '/v1/resources', undefined, { authorization: `Bearer guess-${i}` })
    for (const { status } of await Promise.all(
      times(40, () => call('GET', '/v1/events', undefined, { authorization: '' })),
    ))
      expect(status).toBe(401)
    const answers = tally(await Promise.all(times(100, guess)))
    expect(answers).toEqual([30, 70])
    const { headers, body } = await guess(101)
    expect(body).toEqual({
      type: 'urn:lapse:problem:too_many',
      title: 'There were too many requests or failures.',
      status: 429,
      detail: 'Wait for as many seconds as Retry-After says.',
      code: 'too_many',
      instance: expect.stringMatching(/^urn:uuid:/),
    })
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(headers.get('retry-after')).toMatch(/^(8\d\d|900)$/)
    // The same at addresses that are not there.
    expect((await call('GET', '/v1/nothing', undefined, { authorization: 'Bearer guess' })).status).toBe(429)
    for (const { status } of await Promise.all(times(100, () => call('GET', '/v1/events')))) expect(status).toBe(200)
    // The board's are counted apart.
    expect((await call('GET', '/queues', undefined, { authorization: right })).status).toBe(200)
    const { text } = await call('GET', '/metrics')
    expect(text).toContain('lapse_rate_limited_total{limit="token"} 72')
  })

  it('the board: after 30 failures the right login is refused too, so that guessing does not show', async () => {
    const { call } = await testApi()
    const log = (authorization: string) => call('GET', '/queues', undefined, { authorization })
    // Right ones, and requests without a login, are no failures.
    for (const { status } of await Promise.all(times(40, (i) => log(i % 2 ? right : ''))))
      expect([200, 401]).toContain(status)
    const answers = tally(await Promise.all(times(100, (i) => log(basic(`lapse:guess-${i}`)))))
    expect(answers).toEqual([30, 70])
    const [wrong, blocked] = [await log(basic('lapse:guess')), await log(right)]
    for (const { status, headers, body } of [wrong, blocked]) {
      expect([status, body.code, headers.get('www-authenticate')]).toEqual([429, 'too_many', null])
      expect(headers.get('retry-after')).toMatch(/^(8\d\d|900)$/)
    }
    const shown = ({ body: { instance: _, ...rest } }: Answer) => rest
    expect(shown(blocked)).toEqual(shown(wrong))
    expect((await call('GET', '/v1/events')).status).toBe(200)
    expect((await call('GET', '/metrics')).text).toContain('lapse_rate_limited_total{limit="login"} 72')
  })

  it('without a trusted proxy X-Forwarded-For changes nothing', async () => {
    const { call } = await testApi()
    const guess = (i: number) =>
      call('GET', '/v1/events', undefined, { authorization: 'Bearer guess', 'x-forwarded-for': `192.0.2.${i}` })
    const answers = tally(await Promise.all(times(50, guess)))
    expect(answers).toEqual([30, 20])
  })

  it('behind one trusted proxy the hop before it counts, and nothing that a client says before that', async () => {
    const { call } = await testApi({ env: { LAPSE_TRUSTED_PROXIES: '1' } })
    const guess = (hops: string) =>
      call('GET', '/v1/events', undefined, { authorization: 'Bearer guess', 'x-forwarded-for': hops })
    const answers = tally(await Promise.all(times(50, (i) => guess(`198.51.100.${i}, 192.0.2.1`))))
    expect(answers).toEqual([30, 20])
    expect((await guess('192.0.2.1, 192.0.2.2')).status).toBe(401)
    expect((await guess('192.0.2.2, 192.0.2.1')).status).toBe(429)
  })

  it('while Redis is away it goes on counting', async () => {
    const redis = await privateRedis()
    const { url } = await testApi({ redis })
    await redis.stop()
    const guess = () => caller(url)('GET', '/v1/events', undefined, { authorization: `Bearer ${token}x` })
    const answers = tally(await Promise.all(times(50, guess)))
    expect(answers).toEqual([30, 20])
  })
})
