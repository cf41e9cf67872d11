import { describe, expect, it } from 'vitest'
import { readRedisUrl } from '../src/index.ts'

describe('REDIS_URL', () => {
  it('names one server, as it always has', () => {
    for (const url of ['redis://localhost:6379', 'rediss://user:pass@redis.example.com/2', 'redis://[::1]:6379?db=1'])
      expect(readRedisUrl(url)).toEqual({ at: 'server', url })
  })

  it('names a cluster by some of its nodes', () => {
    expect(readRedisUrl('redis+cluster://a:7000,b,[::1]:7002')).toEqual({
      at: 'cluster',
      nodes: [
        { host: 'a', port: 7000 },
        { host: 'b', port: 6379 },
        { host: '::1', port: 7002 },
      ],
      tls: false,
    })
    expect(readRedisUrl('rediss+cluster://lapse:p%40ss,w@rd@c.example.com')).toEqual({
      ...{ at: 'cluster', nodes: [{ host: 'c.example.com', port: 6379 }], tls: true },
      ...{ username: 'lapse', password: 'p@ss,w@rd' },
    })
  })

  it('names a master by sentinels, who may have a password of their own', () => {
    expect(readRedisUrl('redis+sentinel://:secret@s1,s2:26380/mymaster/3?sentinel_password=other')).toEqual({
      at: 'sentinels',
      sentinels: [
        { host: 's1', port: 26_379 },
        { host: 's2', port: 26_380 },
      ],
      ...{ name: 'mymaster', db: 3, tls: false, password: 'secret', sentinel: { password: 'other' } },
    })
    expect(readRedisUrl('rediss+sentinel://s1/main')).toMatchObject({ tls: true, name: 'main', db: 0, sentinel: {} })
  })

  it.each([
    ['http://example.com', /is not a URL that begins with redis:\/\//],
    ['redis+clusters://a', /is not a URL that begins with/],
    ['redis://a:1,b:2', /names several servers: write redis\+cluster:\/\/ or redis\+sentinel:\/\//],
    ['redis+cluster://a:x', /"a:x" among its hosts/],
    ['redis+cluster://a,,b', /"" among its hosts/],
    ['redis+cluster://a/1', /a cluster has no databases/],
    ['redis+sentinel://a', /name of the master/],
    ['redis+sentinel://a/main/x', /name of the master/],
    ['redis+sentinel://a/main?password=x', /parameter password/],
    ['redis+cluster://u:100%@a', /written %25/],
  ])('%s is refused in words', (url, why) => {
    expect(() => readRedisUrl(url)).toThrow(why)
  })
})
