import { lookup } from 'node:dns/promises'
import { setMaxListeners } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@lapse/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { createResolver, NameError, type ResolverOptions } from '../src/outbound/resolve.ts'
import { nameServer } from './name-server.ts'

const silent = { silent: ['A', 'AAAA'] } as const
const many = Array.from({ length: 65 }, (_, i) => `192.0.2.${i}`)
const silentNames = Array.from({ length: 200 }, (_, i) => `silent-${i}.test`)
const { servers, names } = await nameServer({
  'both.test': () => ({ A: ['192.0.2.1', '192.0.2.2'], AAAA: ['2001:db8:0:0:0:0:0:1'] }),
  'four.test': () => ({ A: ['192.0.2.4'] }),
  'six.test': () => ({ AAAA: ['2001:db8:0:0:0:0:0:6'] }),
  'half.test': () => ({ A: ['192.0.2.5'], silent: ['AAAA'] }),
  'changing.test': (time) => ({ A: [`192.0.2.${time}`] }),
  'broken.test': () => ({ rcode: 2 }),
  'many.test': () => ({ A: many }),
  'service.inner.test': () => ({ A: ['192.0.2.10'] }),
  'service.outer.test': () => ({ A: ['192.0.2.11'] }),
  'a.b.inner.test': () => ({ A: ['192.0.2.12'] }),
  'a.b': () => ({ A: ['192.0.2.13'] }),
  ...Object.fromEntries(silentNames.map((name) => [name, () => silent])),
})
const folder = await mkdtemp(join(tmpdir(), 'lapse-names-'))
afterAll(() => rm(folder, { recursive: true }))
const fileOf = async (name: string, text: string) => {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}
const emptyPath = await fileOf('empty', '')

/** Not the files of the machine that runs the test. */
const resolverOf = (options: ResolverOptions = {}) =>
  createResolver({ servers, hostsPath: emptyPath, resolvConfPath: emptyPath, ...options })
const aborting = () => {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}
const { signal } = aborting()
const resolve = resolverOf()
const asked = (since: number) => names.slice(since)

describe('a name', () => {
  it.each([
    ['both.test', ['192.0.2.1', '192.0.2.2', '2001:db8::1']],
    ['four.test', ['192.0.2.4']],
    ['six.test', ['2001:db8::6']],
    ['nothing.test', []],
    [`${'a'.repeat(64)}.test`, []],
  ])('%s has the addresses of both families, or none', async (name, addresses) =>
    expect(await resolve(name, { signal })).toEqual(addresses),
  )

  it('is asked for anew each time', async () => {
    for (const last of [1, 2, 3]) expect(await resolve('changing.test', { signal })).toEqual([`192.0.2.${last}`])
  })

  it('of which one family is not answered has the addresses of the other', async () =>
    expect(await resolverOf({ timeoutMs: 200 })('half.test', { signal })).toEqual(['192.0.2.5']))

  it('that no name server answers for is left at the deadline, and the error says what to check', async () => {
    const late = resolverOf({ timeoutMs: 50 })('silent-0.test', { signal })
    await expect(late).rejects.toThrow(NameError)
    await expect(late).rejects.toThrow(
      'The name silent-0.test was not resolved within 0.05 seconds. Check that the name servers of its domain answer',
    )
  })

  it('whose name server fails says so', async () =>
    await expect(resolve('broken.test', { signal })).rejects.toThrow(
      /broken.test could not be resolved.*\(ESERVFAIL\)/,
    ))

  it('with more addresses than any host has is refused', async () =>
    await expect(resolve('many.test', { signal })).rejects.toThrow('The name many.test has more than 64 addresses'))
})

/** Lookups that get no answer, and how many of them are over all the same. */
const hang = (hanging: readonly string[], off: AbortSignal, share?: string) => {
  let over = 0
  const lookups = hanging.map((name) => resolve(name, { signal: off, share }).finally(() => over++))
  return { ended: () => over, settled: Promise.allSettled(lookups) }
}

describe('a lookup', () => {
  it('that is called off ends at once, and leaves its place to the next', async () => {
    const narrow = resolverOf({ limits: { perShare: 1 } })
    const off = aborting()
    const before = names.length
    const slow = narrow('silent-1.test', { signal: off.signal })
    const refused = slow.catch(() => 'called off')
    await until(() => asked(before).includes('silent-1.test'))
    const next = narrow('four.test', { signal })
    await resolve('six.test', { signal })
    expect(asked(before)).not.toContain('four.test')
    const deadline = new Promise((over) => setTimeout(over, 1_500, 'deadline'))
    off.abort(new Error('called off'))
    expect(await Promise.race([refused, deadline])).toBe('called off')
    expect(await next).toEqual(['192.0.2.4'])
  })

  it('of one organization waits for no other’s, however many names of that one hang', async () => {
    const off = aborting()
    const hanging = hang(silentNames, off.signal, 'a')
    expect(await resolve('four.test', { signal, share: 'b' })).toEqual(['192.0.2.4'])
    expect(await resolve('four.test', { signal })).toEqual(['192.0.2.4'])
    expect(hanging.ended()).toBe(0)
    off.abort()
    await hanging.settled
    expect(await resolve('four.test', { signal, share: 'a' })).toEqual(['192.0.2.4'])
  })

  it('of one name waits for no other name of its organization, however often that one hangs', async () => {
    const off = aborting()
    const hanging = hang(Array(100).fill('silent-0.test'), off.signal, 'a')
    expect(await resolve('four.test', { signal, share: 'a' })).toEqual(['192.0.2.4'])
    expect(hanging.ended()).toBe(0)
    off.abort()
    await hanging.settled
  })

  it('is refused when too many of its organization wait, and says so', async () => {
    const off = aborting()
    const narrow = resolverOf({ limits: { perShare: 1, waiting: 1 } })
    const three = [0, 1, 2].map((i) => narrow(`silent-${i}.test`, { signal: off.signal, share: 'a' }))
    const settled = Promise.allSettled(three)
    await expect(Promise.race(three)).rejects.toThrow('too many names of this organization')
    off.abort()
    await settled
  })

  it('takes none of the threads that the connections to PostgreSQL and Redis need for their own', async () => {
    const off = aborting()
    const hanging = hang(silentNames.slice(0, 32), off.signal)
    await lookup('localhost')
    expect(hanging.ended()).toBe(0)
    off.abort()
    await hanging.settled
  })
})

describe('the hosts file', () => {
  const hosts = `
127.0.0.1 localhost
# 192.0.2.99 commented.test
192.0.2.20\tDocker.Test docker # 192.0.2.98
2001:db8::20 docker.test
fe80::1%lo0 docker.test
192.0.2.21 four.test.
no-address docker.test
`
  it('comes first, in any spelling, with all addresses that it gives', async () => {
    const by = resolverOf({ hostsPath: await fileOf('hosts', hosts) })
    const before = names.length
    for (const name of ['docker.test', 'DOCKER.test', 'docker.test.'])
      expect(await by(name, { signal })).toEqual(['192.0.2.20', '2001:db8::20'])
    expect(await by('docker', { signal })).toEqual(['192.0.2.20'])
    expect(asked(before)).toEqual([])
    expect(await by('commented.test', { signal })).toEqual([])
  })

  it('is read again when it has changed', async () => {
    const hostsPath = await fileOf('changing', '192.0.2.1 own.test\n')
    const by = resolverOf({ hostsPath })
    expect(await by('own.test', { signal })).toEqual(['192.0.2.1'])
    await writeFile(hostsPath, '192.0.2.100 own.test\n')
    expect(await by('own.test', { signal })).toEqual(['192.0.2.100'])
    await rm(hostsPath)
    expect(await by('own.test', { signal })).toEqual([])
  })

  it('may lack localhost, and may be absent: no name server is asked for what is this machine', async () => {
    const before = names.length
    for (const by of [resolve, resolverOf({ hostsPath: join(folder, 'absent') })])
      for (const name of ['localhost', 'app.localhost', 'localhost.'])
        expect(await by(name, { signal })).toEqual(['127.0.0.1', '::1'])
    expect(asked(before)).toEqual([])
  })
})

describe('search domains', () => {
  const conf = 'nameserver 192.0.2.53\nsearch old.test\nsearch inner.test outer.test.\noptions timeout:1 ndots:2\n'

  it.each([
    ['service', ['192.0.2.10'], ['service.inner.test']],
    ['four.test', ['192.0.2.4'], ['four.test.inner.test', 'four.test.outer.test', 'four.test']],
    ['four.test.', ['192.0.2.4'], ['four.test']],
    ['a.b', ['192.0.2.12'], ['a.b.inner.test']],
    ['unknown.to.all', [], ['unknown.to.all', 'unknown.to.all.inner.test', 'unknown.to.all.outer.test']],
  ])('%s is completed as the system does it', async (name, addresses, questions) => {
    const by = resolverOf({ resolvConfPath: await fileOf('resolv.conf', conf) })
    const before = names.length
    expect(await by(name, { signal })).toEqual(addresses)
    expect(asked(before)).toEqual(questions)
  })

  it('with one dot a name is asked for as it is first, unless the file says otherwise', async () => {
    const by = resolverOf({ resolvConfPath: await fileOf('one', 'domain inner.test\n') })
    expect(await by('a.b', { signal })).toEqual(['192.0.2.13'])
    expect(await by('service', { signal })).toEqual(['192.0.2.10'])
  })
})
