import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ConfigError, loadConfig } from '../src/config.ts'
import { allKinds } from '../src/lapse.ts'

const folder = mkdtempSync(join(tmpdir(), 'lapse-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const loaded = (text: string) => {
  const file = join(folder, `${files++}.mjs`)
  writeFileSync(file, `export default ${text}`)
  return loadConfig(file)
}

describe('lapse.config.ts', () => {
  it('is taken as it is written when all of it is known', async () => {
    const text = `{ kinds: [], mail: { from: 'a@example.com' }, grants: { elevated: ['root'], lifetime: { max: '1d' } } }`
    expect(await loaded(text)).toMatchObject({ mail: { from: 'a@example.com' }, grants: { elevated: ['root'] } })
    expect(await loaded('{ mail: undefined }')).toEqual({ mail: undefined })
  })

  it('says how long sessions, links and codes live; what it leaves out stays as it is', async () => {
    const config = await loaded(`{ sessions: { idle: '1h', longest: '2h' }, verifications: { code: '2m' } }`)
    const hour = 3_600_000
    const find = (name: string) => allKinds([], config, {}).find((kind) => kind.name === name)
    expect(find('session')).toMatchObject({ defaultLife: hour, terms: { maxLife: 2 * hour } })
    expect(find('verification')?.defaultLifeFor?.({ purpose: 'code' })).toBe(2 * 60_000)
    expect(find('verification')?.defaultLifeFor?.({ purpose: 'sign-in' })).toBe(10 * 60_000)
    expect(find('access-grant')).toMatchObject({ defaultLife: hour })
  })

  it.each([
    ['{ mial: {} }', /mial is no option\. There are: kinds, grants, sessions, verifications, mail/],
    [`{ mail: { form: 'a@example.com' } }`, /mail\.form is no option\. There are: transport, from, templates/],
    [`{ grants: { elevatd: ['root'] } }`, /grants\.elevatd is no option/],
    [`{ sessions: { max: '1d' } }`, /sessions\.max is no option\. There are: idle, longest/],
    [`{ verifications: { signin: '5m' } }`, /verifications\.signin is no option\. There are: sign-in/],
    [`{ grants: { lifetime: { maximum: '1d' } } }`, /grants\.lifetime\.maximum is no option/],
  ])('%s is refused, for a misspelt option would do nothing and say nothing', async (text, said) => {
    const refusal = await loaded(text).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(ConfigError)
    expect((refusal as Error).message).toMatch(said)
  })
})
