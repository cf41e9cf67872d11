import { expect, it } from 'vitest'
import { everyKey, everyRow } from './everything.ts'
import { rootToken, stage } from './stage.ts'

const app = await stage()
const { database, inbox, startApi, startWorker } = app

/** Every value that anybody could act with, as it reached whom it is for. */
const secrets = new Map<string, string>()

const ask = async (url: string, path: string, body?: object, bearer = rootToken) => {
  const answer = await fetch(`${url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${bearer}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
  return text
}

const mailed = async (to: string, pattern: RegExp, subject: RegExp): Promise<string> => {
  const mail = await inbox.waitForMail((one) => one.to.includes(to) && subject.test(one.subject))
  const [, found = ''] = pattern.exec(mail.text) ?? []
  expect(found).not.toBe('')
  return found
}

const tokenIn = /token=(lps_[a-z]+_[0-9A-Za-z]{65})/

it('I6: no token and no code stands in the database, its log, Redis, our logs, the board, the answers or a mail’s headers', async () => {
  const postgresLog = await database.logAll()
  const api = await startApi({ LAPSE_LOG_LEVEL: 'trace', LAPSE_BOARD_PASSWORD: 'a-password-for-the-board' })
  const worker = await startWorker({ LAPSE_LOG_LEVEL: 'trace', LAPSE_PUBLIC_URL: api.url })
  try {
    const [ada, grace] = ['ada@example.com', 'grace@example.com']
    const organization = JSON.parse(await ask(api.url, '/v1/organizations', { name: 'Acme', reference: 'acme' }))
    await ask(api.url, '/v1/users', { email: ada, verified: true })
    await ask(api.url, '/v1/memberships', { organization: 'acme', user: await userId(api.url, ada), role: 'owner' })

    // By mail: an invite, the link to sign in with which it is opened, a reset, a confirmation, a code.
    await ask(api.url, '/v1/invites', { organization: organization.id, email: grace, role: 'admin' })
    const invite = await mailed(grace, tokenIn, /invited to join/)
    secrets.set('invite', invite)
    await ask(api.url, `/v1/sign-in`, { email: grace })
    const signIn = await mailed(grace, tokenIn, /sign-in/)
    secrets.set('magic link', signIn)
    const session = JSON.parse(await ask(api.url, '/v1/sessions', { token: signIn })).token
    secrets.set('session', session)
    await ask(api.url, '/v1/invites/accept', { token: invite }, session)
    const link = 'https://app.example.com/reset#{token}'
    await ask(api.url, '/v1/verifications', { purpose: 'reset-password', email: ada, link })
    secrets.set('reset', await mailed(ada, /reset#(lps_\w+)/, /password/))
    await ask(api.url, '/v1/verifications', { purpose: 'code', email: ada })
    const code = await mailed(ada, /(?<!\d)(\d{8})(?!\d)/, /code/i)
    await ask(api.url, '/v1/verifications/consume', { email: ada, code })
    // Given back to the host, and once more under the same key.
    for (let i = 0; i < 2; i++) {
      const answer = await fetch(`${api.url}/v1/invites`, {
        method: 'POST',
        headers: { ...json, authorization: `Bearer ${rootToken}`, 'idempotency-key': 'the-same' },
        body: JSON.stringify({ organization: 'acme', email: 'lin@example.com', role: 'member', deliver: 'return' }),
      })
      const { token } = (await answer.json()) as { token?: string }
      if (i === 0) secrets.set('returned invite', token ?? '')
      else expect(token).toBeUndefined()
    }
    // One that is never sent, for its mail is refused for good and for ever tried again.
    inbox.failNext(1_000)
    await ask(api.url, '/v1/invites', { organization: 'acme', email: 'mary@example.com', role: 'member' })

    const places: Record<string, string> = {
      database: await everyRow(app),
      "PostgreSQL's log": postgresLog(),
      redis: await everyKey(app),
      'the log of the API': api.output(),
      'the log of the worker': worker.output(),
      'the headers of mails': JSON.stringify(inbox.mails.map(({ headers, subject }) => ({ ...headers, subject }))),
      events: await ask(api.url, '/v1/events?limit=200'),
      resources: await ask(api.url, '/v1/resources?limit=200'),
      deliveries: await ask(api.url, '/v1/deliveries?limit=200'),
      board: await (await fetch(`${api.url}/queues/api/queues`, { headers: boardLogin })).text(),
      metrics: await (await fetch(`${api.url}/metrics`)).text(),
    }
    for (const [place, text] of Object.entries(places)) {
      expect([place, text.length > 100]).toEqual([place, true])
      for (const [name, token] of secrets) {
        // The half that proves, in the encodings in which it might stand there.
        const verifier = token.slice(-49, -6)
        for (const form of [
          verifier,
          Buffer.from(verifier).toString('hex'),
          Buffer.from(verifier).toString('base64url'),
        ])
          expect([place, name, text.includes(form)]).toEqual([place, name, false])
      }
      expect([place, 'code', new RegExp(`(?<![\\w-])${code}(?![\\w-])`).test(text)]).toEqual([place, 'code', false])
    }
    // The search finds what is there: the half of each token by which it is looked up stands in the database.
    const { database: all = '', "PostgreSQL's log": log = '' } = places
    for (const [name, token] of secrets) expect([name, all.includes(selectorOf(token))]).toEqual([name, true])
    expect(log).toContain(selectorOf(invite))
  } finally {
    inbox.failNext(0)
    await worker.stop()
    await api.stop()
  }
})

const json = { 'content-type': 'application/json' }
const boardLogin = { authorization: `Basic ${Buffer.from('lapse:a-password-for-the-board').toString('base64')}` }
const selectorOf = (token: string): string => token.slice(-65, -49)

const userId = async (url: string, email: string): Promise<string> =>
  JSON.parse(await ask(url, `/v1/users?email=${encodeURIComponent(email)}`)).items[0].id
