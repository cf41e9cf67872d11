import { beforeAll, describe, expect, it } from 'vitest'
import { type Answer, testApi } from './api.ts'
import { behindProxy, freshIp, people } from './people.ts'

const lines: string[] = []
let api: Awaited<ReturnType<typeof testApi>>
let all: ReturnType<typeof people>
beforeAll(async () => {
  api = await testApi({ env: behindProxy, log: (line) => lines.push(line) })
  all = people(api)
})

let count = 0
const fresh = (): string => `somebody-${++count}@example.com`

const ask = (email: string, headers?: Record<string, string>) => all.ask('POST', '/v1/sign-in', { email }, headers)

const took = async (asked: Promise<Answer>): Promise<number> => {
  const start = performance.now()
  await asked
  return performance.now() - start
}

/** All that can be seen of an answer, but for when it was given. */
const seen = ({ status, headers, text }: Answer) => {
  const { date, ...rest } = Object.fromEntries(headers)
  return { status, headers: rest, text }
}

describe('asking for a link', () => {
  it('is answered alike for known and unknown addresses; only the known and the invited get a mail', async () => {
    const user = await all.user(fresh())
    const invited = fresh()
    await all.invite((await all.organization()).id, invited)
    const unknown = fresh()
    const answers = [await ask(user.email), await ask(invited), await ask(unknown), await ask(user.email.toUpperCase())]
    for (const answer of answers) expect(seen(answer)).toEqual(seen(answers[0] as Answer))
    expect([answers[0]?.status, answers[0]?.body]).toEqual([202, { status: 'accepted' }])
    const mails = await all.mail()
    const to = mails.filter(({ text }) => text.includes('sign in')).flatMap((mail) => mail.to)
    expect(to.sort()).toEqual([invited, user.email].sort())
  })

  it('after the same time, which is longer than what there is to do takes', async () => {
    const { email } = await all.user(fresh())
    const times = await Promise.all([took(ask(email)), took(ask(fresh())), took(ask(fresh()))])
    for (const time of times) expect(time).toBeGreaterThanOrEqual(249)
  })

  it('the whole way: the mail’s token opens a session', async () => {
    const user = await all.user(fresh(), { verified: false })
    await ask(user.email)
    const mail = (await all.mail()).find(({ to }) => to.includes(user.email))
    const [token] = /lps_verification_\w+/.exec(mail?.text ?? '') ?? []
    const { status, body } = await all.ask('POST', '/v1/sessions', { token })
    expect([status, body.user.id]).toEqual([201, user.id])
    const headers = { authorization: `Bearer ${body.token}` }
    expect((await all.ask('GET', '/v1/sessions/current', undefined, headers)).body.user.verified_at).not.toBeNull()
  })

  it('whoever is invited becomes a user by it', async () => {
    const email = fresh()
    const organization = await all.organization()
    const invite = await all.invite(organization.id, email)
    await ask(email)
    const mail = (await all.mail()).find(({ to }) => to.includes(email))
    const [token] = /lps_verification_\w+/.exec(mail?.text ?? '') ?? []
    const { body } = await all.ask('POST', '/v1/sessions', { token })
    const headers = { authorization: `Bearer ${body.token}` }
    const joined = await all.ask('POST', `/v1/invites/${invite.id}/accept`, undefined, headers)
    expect(joined.body).toMatchObject({ status: 'joined', membership: { user_id: body.user.id } })
  })

  it('what fails inside is told nobody but the log, after the same time', async () => {
    const { email } = await all.user(fresh())
    const well = await ask(email)
    await api.sql(`ALTER TABLE resource ADD CONSTRAINT broken CHECK (kind <> 'verification') NOT VALID`)
    const start = performance.now()
    const known = await ask(email)
    expect(performance.now() - start).toBeGreaterThanOrEqual(249)
    const unknown = await ask(fresh())
    await api.sql('ALTER TABLE resource DROP CONSTRAINT broken')
    for (const answer of [known, unknown]) expect(seen(answer)).toEqual(seen(well))
    expect(lines.filter((line) => line.includes('no link to sign in was sent'))).toHaveLength(1)
  })

  it('five mails an hour go to one address for one client, and keep nobody else from getting theirs; twenty for all', async () => {
    const { email } = await all.user(fresh())
    const mails = async () =>
      (await api.sql(`SELECT 1 FROM resource WHERE kind = 'verification' AND subject = $1`, [email])).length
    const from = (client: string) => ({ 'x-forwarded-for': client })
    const attacker = from(freshIp())
    const answers: Answer[] = []
    for (let i = 0; i < 7; i++) answers.push(await ask(i % 2 ? email : email.toUpperCase(), attacker))
    expect(await mails()).toBe(5)
    answers.push(await ask(email, from(freshIp())))
    expect(await mails()).toBe(6)
    for (let i = 0; i < 20; i++) answers.push(await ask(email, from(freshIp())))
    expect(await mails()).toBe(20)
    for (const answer of answers) expect(seen(answer)).toEqual(seen(answers[0] as Answer))
  })

  it('an office behind one address asks as often as it is configured to', async () => {
    const office = people(await testApi({ env: { ...behindProxy, LAPSE_SIGN_INS_PER_HOUR: '30' } }))
    const from = { 'x-forwarded-for': freshIp() }
    const statuses: number[] = []
    for (let i = 0; i < 31; i++)
      statuses.push((await office.ask('POST', '/v1/sign-in', { email: fresh() }, from)).status)
    expect(statuses).toEqual([...Array<number>(30).fill(202), 429])
  })

  it('20 an hour come from one address; then it is 429, alike for known and unknown; the host application is not limited', async () => {
    const { email } = await all.user(fresh())
    const from = { 'x-forwarded-for': freshIp() }
    await Promise.all(Array.from({ length: 20 }, () => ask(fresh(), from)))
    const [known, unknown] = [await ask(email, from), await ask(fresh(), from)]
    const alike = ({ status, body }: Answer) => [status, { ...body, instance: '' }]
    expect(alike(known)).toEqual(alike(unknown))
    expect([known.status, known.body.code]).toEqual([429, 'too_many'])
    expect(Number(known.headers.get('retry-after'))).toBeGreaterThan(3_000)
    const answers = await Promise.all(
      Array.from({ length: 25 }, () => api.call('POST', '/v1/sign-in', { email: fresh() }, from)),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
  })

  it('what is no address is a 422, at once', async () => {
    for (const email of ['ada', 'ada@', '@example.com', 'a b@example.com', 7, undefined]) {
      const { body } = await all.ask('POST', '/v1/sign-in', { email })
      expect(body).toMatchObject({ status: 422, code: 'invalid', field: 'email' })
    }
  })

  it('without LAPSE_SECRET nobody can be mailed, which is said to all alike', async () => {
    const bare = await testApi({ env: { ...behindProxy, LAPSE_SECRET: '' } })
    const own = people(bare)
    const { email } = await own.user(fresh())
    const answers = await Promise.all([email, fresh()].map((one) => own.ask('POST', '/v1/sign-in', { email: one })))
    for (const { status, body } of answers) expect([status, body.code]).toEqual([503, 'not_configured'])
  })

  it('is counted, and the log and the metrics know no address', async () => {
    const { text } = await api.call('GET', '/metrics')
    expect(text).toMatch(/^lapse_sign_in_requests_total [1-9]\d+$/m)
    for (const told of [text, lines.join('')]) expect(told).not.toContain('somebody-')
  })
})
