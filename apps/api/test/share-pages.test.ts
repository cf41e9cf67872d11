import { describe, expect, it } from 'vitest'
import { type Answer, type Body, testApi } from './api.ts'
import { behindProxy, freshIp, people } from './people.ts'

const api = await testApi({ env: behindProxy })
const { call, sql } = api
const { ask } = people(api)

const shared = async (more: object = {}): Promise<Body> => {
  const { body } = await call('POST', '/v1/share-links', { title: 'Quarterly <report>', ...more })
  return { ...body, path: `/share-links/open?token=${body.token}` }
}
const views = async (id: string) => (await call('GET', `/v1/share-links/${id}`)).body.views

type Headers = Record<string, string>
const open = (path: string, headers: Headers = {}, method = 'GET') =>
  ask(method, path, undefined, { 'sec-fetch-site': 'none', ...headers })
const form = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }
const submit = (path: string, fields: Record<string, string> = {}, headers: Headers = {}) =>
  ask('POST', path, new URLSearchParams(fields).toString(), { ...form, ...headers })

const cookieIn = ({ headers }: Answer) => headers.getSetCookie()[0] ?? ''
const kept = (answer: Answer) => ({ cookie: cookieIn(answer).split(';')[0] ?? '' })
const heading = ({ text }: Answer) =>
  /<h1[^>]*>(.*?)<\/h1>/s
    .exec(text)?.[1]
    ?.replace(/<[^>]+>/g, '')
    .trim()
const seen = ({ status, headers, text }: Answer) => {
  const { date, connection, 'keep-alive': _, ...rest } = Object.fromEntries(headers)
  return { status, headers: rest, text }
}
const password = 'correct horse battery'

describe('I3: scanners that open a share link', () => {
  it.each([
    ['without a password', {}],
    ['with a password', { password }],
  ])('%s count nothing, change nothing, and see nothing of it; the click counts one', async (_, more) => {
    const { id, path } = await shared({ max_views: 1, shared_by: 'Ada', url: 'https://docs.example.com/', ...more })
    const before = JSON.stringify(await api.everything())
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => open(path, {}, i % 2 ? 'HEAD' : 'GET')))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    for (const { text } of answers) expect(text).not.toMatch(/Quarterly|Ada|docs\.example/)
    expect(answers[0]?.text.includes('type="password"')).toBe('password' in more)
    expect(JSON.stringify(await api.everything())).toBe(before)
    expect((await submit(path, { password })).status).toBe(303)
    expect(await views(id)).toBe(1)
  })
})

describe('what is shared', () => {
  it('is shown to the browser that has opened it, by a cookie for these pages alone', async () => {
    const { id, path } = await shared({ shared_by: 'Ada & Co', url: 'https://docs.example.com/q?a=1&b=2' })
    const opened = await submit(path)
    expect([opened.status, opened.headers.get('location')]).toEqual([303, `/share-links/view/${id}`])
    expect(cookieIn(opened)).toMatch(
      new RegExp(
        `^__Secure-lapse_view_${id}=lps_pass_[0-9a-f]+; Max-Age=600; Path=/share-links; HttpOnly; Secure; SameSite=Lax$`,
      ),
    )
    const page = await open(`/share-links/view/${id}`, kept(opened))
    expect([page.status, heading(page)]).toEqual([200, 'Ada &amp; Co shares with you Quarterly &lt;report&gt;'])
    expect(page.text).toContain('<a class="button" href="https://docs.example.com/q?a=1&amp;b=2" rel="noreferrer">')
    expect(page.text).toContain('Continue to docs.example.com')
    expect(page.text).toContain('for 10 minutes')
    expect(page.headers.get('referrer-policy')).toBe('no-referrer')
    expect(page.headers.get('cache-control')).toBe('no-store')
    const { path: other, id: otherId } = await shared()
    const both = { cookie: `${kept(opened).cookie}; ${kept(await submit(other)).cookie}` }
    for (const one of [id, otherId]) expect((await open(`/share-links/view/${one}`, both)).status).toBe(200)
    const moved = kept(opened).cookie.replace(id, otherId)
    expect((await open(`/share-links/view/${otherId}`, { cookie: moved })).status).toBe(404)
  })

  it('is counted once by a browser that opens it again, and led to, also when that was the last view', async () => {
    const { id, path } = await shared({ max_views: 1 })
    const cookie = kept(await submit(path))
    const [again, looked] = [await submit(path, {}, cookie), await open(path, cookie)]
    for (const { status, headers } of [again, looked])
      expect([status, headers.get('location')]).toEqual([303, `/share-links/view/${id}`])
    expect(await views(id)).toBe(1)
    expect((await open(path)).status).toBe(404)
    expect((await submit(path)).status).toBe(404)
  })

  const endings: [string, (id: string) => Promise<unknown>][] = [
    ['revoked', (id) => call('POST', `/v1/share-links/${id}/revoke`)],
    ['revoked as any resource', (id) => call('POST', `/v1/resources/${id}/revoke`)],
    ['expired', (id) => api.age(id, 8 * 86_400)],
    ['deleted', (id) => sql('DELETE FROM resource WHERE id = $1', [id])],
  ]
  it.each(endings)('is gone with the very next view when the link is %s, its last view or not', async (_, end) => {
    for (const max_views of [undefined, 1]) {
      const { id, path } = await shared({ max_views })
      const cookie = kept(await submit(path))
      expect((await open(`/share-links/view/${id}`, cookie)).status).toBe(200)
      await end(id)
      const gone = await open(`/share-links/view/${id}`, cookie)
      expect([gone.status, heading(gone)]).toEqual([404, 'This page is closed'])
      expect(seen(gone)).toEqual(seen(await open('/share-links/view/nothing')))
      for (const answer of [await open(path, cookie), await submit(path, {}, cookie)]) expect(answer.status).toBe(404)
    }
  })

  it('is opened by a form of ours alone', async () => {
    const { id, path } = await shared()
    for (const from of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': '', origin: 'https://evil.example' }])
      expect((await submit(path, {}, from)).status).toBe(403)
    expect(await views(id)).toBe(0)
  })
})

it('I4: a share link that is not good shows one page, whatever the reason, opened or submitted', async () => {
  const [expired, revoked, used] = await Promise.all([shared(), shared({ password }), shared({ max_views: 1 })])
  await api.age(expired.id, 8 * 86_400)
  await call('POST', `/v1/share-links/${revoked.id}/revoke`)
  await submit(used.path)
  const paths = [expired.path, revoked.path, used.path, '/share-links/open', '/share-links/open?token=x']
  const answers = await Promise.all(paths.flatMap((path) => [open(path), submit(path, { password })]))
  expect([answers[0]?.status, heading(answers[0] as Answer)]).toEqual([404, 'This link does not work'])
  for (const answer of answers) expect(seen(answer)).toEqual(seen(answers[0] as Answer))
})

describe('a password', () => {
  it('that is missing or wrong is asked for again, and the wait is told', async () => {
    const { id, path } = await shared({ password })
    const ip = { 'x-forwarded-for': freshIp() }
    const missing = await submit(path, {}, ip)
    expect([missing.status, missing.text.includes('Please type the password')]).toEqual([403, true])
    const wrong = await submit(path, { password: 'Wrong-Password' }, ip)
    expect([wrong.status, wrong.text.includes('This is not the password')]).toEqual([403, true])
    expect(wrong.text).not.toMatch(/Wrong-Password|Quarterly/)
    const { redis, prefix } = api.lapse.queues
    for (const key of await redis.keys(`${prefix}:limits:password:*`))
      await redis.hset(key, 'until', Date.now() + 3_600_000)
    const soon = await submit(path, { password }, ip)
    expect([soon.status, /Please wait \d+ seconds/.test(soon.text)]).toEqual([429, true])
    expect(Number(soon.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await submit(path, { password })).status).toBe(303)
    expect(await views(id)).toBe(1)
  })
})
