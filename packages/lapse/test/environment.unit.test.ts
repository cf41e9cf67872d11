import { expect, it } from 'vitest'
import { commonVariables, describeEnvironment, readEnvironment, variable } from '../src/environment.ts'

const variables = {
  DATABASE_URL: variable.url(['postgresql:'], 'postgresql://localhost/lapse'),
  RATE: variable.whole(100, 1, 1_000),
  NAME: variable.text('lapse'),
}

it('every problem is told together: the variable, what is wrong, and an example', () => {
  expect(() => readEnvironment(variables, { RATE: '0' })).toThrow(
    'DATABASE_URL: is missing. Example: DATABASE_URL=postgresql://localhost/lapse\n  RATE: must be from 1 to 1000. Example: RATE=100',
  )
})

it('an empty variable is one that is not set', () => {
  expect(readEnvironment(variables, { DATABASE_URL: 'postgresql://db/x', RATE: '', NAME: '' })).toMatchObject({
    RATE: 100,
    NAME: 'lapse',
  })
})

it.each(['postgresql://u:sec%40ret@db/x', 'postgresql://u:s@cret@db/x', 'postgresql://db/x?user=u&password=secret'])(
  'what is in effect is shown without the password of %s',
  (url) => {
    const shown = describeEnvironment(variables, readEnvironment(variables, { DATABASE_URL: url }))
    expect(shown).not.toMatch(/ret/)
    expect(shown).toContain('***')
    expect(shown).toContain('RATE=100')
  },
)

it('what may be called is a list of addresses and ranges, or the variable is named', () => {
  const { LAPSE_ALLOW_ADDRESSES } = commonVariables
  const read = (text: string) => readEnvironment({ LAPSE_ALLOW_ADDRESSES }, { LAPSE_ALLOW_ADDRESSES: text })
  expect(read('10.0.0.0/8, ::1')).toEqual({ LAPSE_ALLOW_ADDRESSES: ['10.0.0.0/8', '::1'] })
  expect(read('').LAPSE_ALLOW_ADDRESSES).toBeUndefined()
  expect(() => read('10.0.0.0/8,intranet')).toThrow(
    'LAPSE_ALLOW_ADDRESSES: is not a list of addresses and ranges such as 10.0.0.0/8',
  )
})

it('who may call them is a list of organizations, or everybody', () => {
  const { LAPSE_ALLOW_ADDRESSES_FOR } = commonVariables
  const read = (text: string) =>
    readEnvironment({ LAPSE_ALLOW_ADDRESSES_FOR }, { LAPSE_ALLOW_ADDRESSES_FOR: text }).LAPSE_ALLOW_ADDRESSES_FOR
  const id = '019abcde-0000-7000-8000-000000000002'
  expect(read(`${id}, ${id}`)).toEqual([id, id])
  expect(read('*')).toEqual(['*'])
  expect(read('')).toBeUndefined()
  expect(() => read('acme')).toThrow('LAPSE_ALLOW_ADDRESSES_FOR: is not a list of ids of organizations, or *')
})

it('name servers are a list of addresses, with ports or without, or the variable is named', () => {
  const variables = { LAPSE_DNS_SERVERS: variable.nameServers('10.0.0.53') }
  const read = (text: string) => readEnvironment(variables, { LAPSE_DNS_SERVERS: text }).LAPSE_DNS_SERVERS
  expect(read('10.0.0.53, [fd12::53]:5353')).toEqual(['10.0.0.53', '[fd12::53]:5353'])
  expect(read('')).toBeUndefined()
  for (const wrong of ['ns.example.com', '10.0.0.53,', '10.0.0.53;10.0.0.54'])
    expect(() => read(wrong)).toThrow('LAPSE_DNS_SERVERS: is not a list of name servers')
})

it('REDIS_URL names a server, a cluster or sentinels, is shown without passwords, and is refused in words', () => {
  const { REDIS_URL, LAPSE_TIMER_SHARDS } = commonVariables
  const read = (text: string, shards?: string) =>
    readEnvironment({ REDIS_URL, LAPSE_TIMER_SHARDS }, { REDIS_URL: text, LAPSE_TIMER_SHARDS: shards })
  for (const url of [
    'redis://u:sec%40ret@a:6379/1',
    'rediss+cluster://u:s@c,ret@a:6379,b:6379',
    'redis+sentinel://:secret@a,b/mymaster?sentinel_password=secret',
    'redis+sentinel://a/mymaster?sentinel_password=secret',
  ]) {
    const shown = describeEnvironment({ REDIS_URL, LAPSE_TIMER_SHARDS }, read(url))
    expect(shown).not.toMatch(/ret/)
    expect(shown).toContain('***')
  }
  expect(read('redis://a').LAPSE_TIMER_SHARDS).toBe(1)
  expect(() => read('redis://a:1,b:2', '0')).toThrow(
    /REDIS_URL: names several servers: write redis\+cluster:\/\/.*\n.*LAPSE_TIMER_SHARDS: must be from 1 to 256/,
  )
  expect(() => readEnvironment({ REDIS_URL }, {})).toThrow('REDIS_URL: is missing. Example: REDIS_URL=redis://')
})
