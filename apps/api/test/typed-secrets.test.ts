import { describe, expect, it } from 'vitest'
import { createLog } from '../src/log.ts'
import { type Body, testApi } from './api.ts'
import { behindProxy, freshIp, people } from './people.ts'

const lines: string[] = []
const api = await testApi({ env: behindProxy, log: (line) => lines.push(line) })
const { call } = api
const { ask, organization } = people(api)

const created = async (path: string, body: object): Promise<Body> => {
  const answer = await call('POST', path, body)
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.body
}
let last = 0
const fresh = () => `typist-${++last}@example.com`

const typed: [string, (secret: string) => string][] = [
  ['with white space and a full stop', (secret) => ` ${secret}. \n`],
  ['in typographic quotes', (secret) => `“${secret}”`],
  [
    'with soft hyphens, zero-width and non-breaking spaces',
    (secret) => secret.replaceAll(/(?<=.{3})(?=.)/g, '\u200b\u00ad').replace(/$/, '\u00a0>'),
  ],
  ['with other dashes', (secret) => secret.replaceAll('-', '–')],
]

describe.each(typed)('a secret %s', (_, by) => {
  it('opens an invitation, by page and by API', async () => {
    const { id } = await organization({ name: 'Typed' })
    const email = fresh()
    const invite = { organization: id, email, role: 'member', deliver: 'return' }
    const { token } = await created('/v1/invites', invite)
    const page = await ask('GET', `/invites/open?token=${encodeURIComponent(by(token))}`, undefined, {
      'sec-fetch-site': 'none',
    })
    expect(page.status).toBe(200)
    const accepted = await call('POST', '/v1/invites/accept', { token: by(token), email })
    expect([accepted.status, accepted.text]).toEqual([200, expect.any(String)])
  })

  it('opens a share link, by page and by API', async () => {
    const { token } = await created('/v1/share-links', { title: 'Report', max_views: 2 })
    const page = await ask('GET', `/share-links/open?token=${encodeURIComponent(by(token))}`, undefined, {
      'sec-fetch-site': 'none',
    })
    expect(page.status).toBe(200)
    expect((await ask('POST', '/v1/share-links/unlock', { token: by(token) })).status).toBe(200)
  })

  it('verifies an address, as token and as code', async () => {
    const email = fresh()
    const reset = await created('/v1/verifications', { purpose: 'reset-password', email, deliver: 'return' })
    const used = await call('POST', '/v1/verifications/consume', { token: by(reset.token), purpose: 'reset-password' })
    expect(used.status).toBe(200)
    const { code } = await created('/v1/verifications', { purpose: 'code', email, deliver: 'return' })
    expect((await call('POST', '/v1/verifications/consume', { email, code: by(code) })).status).toBe(200)
  })

  it('signs in', async () => {
    const email = fresh()
    await created('/v1/users', { email, verified: true })
    const { token } = await created('/v1/verifications', { purpose: 'sign-in', email, deliver: 'return' })
    expect((await ask('POST', '/v1/sessions', { token: by(token) })).status).toBe(201)
  })

  it('is a promo code', async () => {
    const { code } = await created('/v1/promo-codes', { benefit: { percent: 20 } })
    expect((await call('POST', '/v1/promo-codes/redeem', { code: by(code), holder: 'u' })).status).toBe(200)
  })
})

it('however it is written, it counts as one secret for the limits of guessing', async () => {
  const { token } = await created('/v1/share-links', { title: 'Report', password: 'correct horse' })
  const wrong = token.slice(20, -1) + (token.endsWith('x') ? 'y' : 'x')
  const guesses = Array.from({ length: 30 }, (_, n) => `${token.slice(0, 20)}${'\u200b'.repeat(n)}${wrong}`)
  const answers: number[] = []
  for (const guess of guesses)
    answers.push(
      (await ask('POST', '/v1/share-links/unlock', { token: guess }, { 'x-forwarded-for': freshIp() })).status,
    )
  expect(answers).toContain(429)
})

it('however it is written, it stands in no log', () => {
  const token = `lps_invite_${'secret7'.repeat(10)}`
  const written: string[] = []
  const log = createLog({ level: 'info' }, { write: (line) => written.push(line) })
  for (const [, by] of typed)
    log.info({ url: `/invites/open?token=${encodeURIComponent(by(token))}&next=1`, reqId: 'lps_1' })
  for (const line of written) {
    expect(line.replaceAll(/%[0-9A-F]{2}/g, '')).not.toContain('secret7')
    expect(JSON.parse(line)).toMatchObject({ url: expect.stringMatching(/&next=1$/), reqId: 'lps_1' })
  }
  expect(lines.join('')).not.toMatch(/lps_(?:invite|share-link|verification)_[0-9A-Za-z]{3}/)
})
