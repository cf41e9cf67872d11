import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startProcess, testDatabase, testRedis } from '@lapse/testkit'
import { expect, it } from 'vitest'
import configuration from '../src/configuration.ts'
import { readme } from '../src/readme.ts'

const file = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')

const blocks = (path: string, language: string) =>
  [...file(path).matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(([, text = '']) => text)

const lines = (text = '') =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)

it('the code in the README is code that runs', async () => {
  const [block] = blocks('README.md', 'ts')
  const source = lines(file('examples/src/readme.ts').replace('redisUrl, prefix, kinds', 'redisUrl, kinds'))
  expect(lines(block).filter((line) => !source.includes(line))).toEqual([])
  const [database, redis] = [await testDatabase(), testRedis()]
  expect(await readme(database.url, redis.url, redis.prefix)).toMatchObject({
    trial: { kind: 'trial', timer: 'armed' },
    answer: { allowed: true, phase: 'active' },
  })
})

it('the configuration in the documentation is one that is accepted', () => {
  expect(blocks('docs/configuration.md', 'ts')).toEqual([file('examples/src/configuration.ts')])
  expect(configuration.kinds?.[0]).toMatchObject({ name: 'guest-pass', terms: { grace: 600_000, reminders: [3_600] } })
})

it('the request in the README is answered as it says', async () => {
  const [database, redis] = [await testDatabase(), testRedis()]
  const token = 'lps_root_of_the_documentation_and_its_test'
  const api = await startProcess({
    entry: 'api',
    env: { DATABASE_URL: database.url, REDIS_URL: redis.url, LAPSE_PREFIX: redis.prefix, LAPSE_ROOT_TOKEN: token },
  })
  const body = /-d '(\{.*\})'/.exec(file('README.md'))?.[1] ?? ''
  const call = async (method: string, path: string, json?: string) => {
    const headers = { authorization: `Bearer ${token}`, ...(json && { 'content-type': 'application/json' }) }
    const answer = await fetch(`${api.url}${path}`, { method, headers, ...(json && { body: json }) })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const issued = await call('POST', '/v1/resources', body)
  expect(issued).toMatchObject({ status: 201, body: { kind: 'trial', status: 'active', timer: 'armed' } })
  const lasts = (field: string) =>
    Date.parse(issued.body[field] as string) - Date.parse(issued.body.issued_at as string)
  expect([lasts('expires_at'), lasts('ends_at')]).toEqual([20_000, 30_000])
  expect(await call('POST', `/v1/resources/${issued.body.id}/check`)).toMatchObject({ body: { allowed: true } })
  expect(await call('GET', `/v1/resources/${issued.body.id}/events`)).toMatchObject({
    body: { items: [{ type: 'issued' }] },
  })
  await api.stop()
})
