import { describe, expect, it } from 'vitest'
import { membership, plain } from './kinds.ts'
import { day, second, testDomain } from './support.ts'

const { domain, age, sql, another } = await testDomain([membership])
const { resources, deliveries, suppressions } = domain
const lease = 30 * second

const passed = { issued: 0, reminded: 13 * day, grace: 14 * day, expired: 15 * day }

/** The mail that a membership owes whose time until then has passed. */
const owing = async (event: keyof typeof passed, email: string): Promise<string> => {
  const { resource, owed } = await resources.issue({ kind: 'membership', payload: { email } })
  await age(resource.id, passed[event])
  const { rows } = await domain.advance({ trigger: 'sweep' })
  return (rows.find((row) => row.id === resource.id)?.owed ?? owed)[0]?.id ?? ''
}
const tokenFor = (address: string): string => suppressions.tokenFor(address) ?? ''
const verdictOf = async (id: string) => (await deliveries.claim(id, lease)).verdict
let last = 0
const anybody = () => `somebody${++last}@example.com`

describe('whoever has unsubscribed', () => {
  it('gets no reminder: it is cancelled at the last moment, with the reason', async () => {
    const email = anybody()
    const before = await owing('reminded', email)
    await suppressions.unsubscribe(tokenFor(email))
    for (const id of [before, await owing('reminded', email)]) {
      expect(await deliveries.claim(id, lease)).toEqual({ verdict: 'settled', reason: 'unsubscribed' })
      expect(await deliveries.get(id)).toMatchObject({
        status: 'cancelled',
        lastError: 'its address is unsubscribed from reminders',
        log: [],
      })
    }
  })

  it.each(['issued', 'grace', 'expired'] as const)('gets every other mail, such as that it is %s', async (event) => {
    const email = anybody()
    await suppressions.unsubscribe(tokenFor(email))
    expect(await verdictOf(await owing(event, email))).toBe('claimed')
  })

  it('is known in upper case, and by either spelling of a domain', async () => {
    await suppressions.unsubscribe(tokenFor('Ada.Lovelace@Bücher.example'))
    for (const email of ['ada.lovelace@bücher.example', 'ADA.lovelace@xn--bcher-kva.example'])
      expect(await verdictOf(await rawReminder(email))).toBe('settled')
    expect(await verdictOf(await rawReminder('ada.lovelace+more@bücher.example'))).toBe('claimed')
  })

  it('is written down once, however often they ask, by tokens that hold no address to read and are good for no other', async () => {
    const email = anybody()
    const tokens = [tokenFor(email), tokenFor(email)]
    for (const token of tokens) expect(Buffer.from(token, 'base64url').toString('latin1')).not.toContain('somebody')
    expect(tokens[0]).not.toBe(tokens[1])
    await Promise.all([...tokens, ...tokens].map((token) => suppressions.unsubscribe(token)))
    expect(await suppressions.list({ address: email })).toMatchObject([{ address: email, reason: 'unsubscribed' }])
  })

  it('needs a token that a key of ours has sealed, for this', async () => {
    const stranger = another([plain], ['a key that is not ours, for the tests of it alone'])
    const sealed = domain.secrets.seal('something else', { address: 'a@example.com' }).toString('base64url')
    for (const token of ['', 'nonsense', stranger.suppressions.tokenFor('a@example.com') ?? '', sealed]) {
      await expect(async () => suppressions.unsubscribe(token)).rejects.toMatchObject({ code: 'token_not_valid' })
      expect(() => suppressions.mustLead(token)).toThrow()
    }
    expect(another([plain], []).suppressions.tokenFor('a@example.com')).toBeUndefined()
  })
})

describe('an address that mail has come back from', () => {
  it('makes the mail dead, sent or not, and gets nothing any more, which says how to lift that', async () => {
    const email = anybody()
    const [sent, pending] = [await owing('expired', email), await owing('expired', email)]
    await deliveries.claim(sent, lease)
    await deliveries.settle(sent, 1, 5, { status: 'sent' })
    expect(await deliveries.bounce(sent, '550 mailbox unknown')).toBe(true)
    expect(await deliveries.get(sent)).toMatchObject({ status: 'dead', lastError: 'bounced: 550 mailbox unknown' })
    const [{ id } = { id: '' }] = await suppressions.list({ address: email })
    expect(await deliveries.claim(pending, lease)).toEqual({ verdict: 'settled', reason: 'bounced' })
    expect(await deliveries.get(pending)).toMatchObject({
      status: 'dead',
      attempts: 0,
      lastError: `its address has bounced (550 mailbox unknown): lift that with DELETE /v1/mail-suppressions/${id}, and retry`,
    })
    await suppressions.lift(id)
    await deliveries.retry(pending)
    expect(await verdictOf(pending)).toBe('claimed')
    await expect(suppressions.lift(id)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('stays dead though its sender has just been told that it was sent', async () => {
    const id = await owing('expired', anybody())
    await deliveries.claim(id, lease)
    await deliveries.bounce(id)
    await deliveries.settle(id, 1, 5, { status: 'sent' })
    expect(await deliveries.get(id)).toMatchObject({ status: 'dead', lastError: 'bounced' })
  })

  it('keeps its owner’s wish when the bounce is lifted', async () => {
    const email = anybody()
    await suppressions.unsubscribe(tokenFor(email))
    await deliveries.bounce(await owing('expired', email))
    expect(await verdictOf(await owing('reminded', email))).toBe('settled')
    const bounce = await suppressions.bounceOf(email)
    await suppressions.lift(bounce?.id ?? '')
    expect(await verdictOf(await owing('expired', email))).toBe('claimed')
    expect(await verdictOf(await owing('reminded', email))).toBe('settled')
  })

  it('is not made by what is no mail, nor by what does not exist', async () => {
    expect(await deliveries.bounce('00000000-0000-4000-8000-000000000000')).toBe(false)
    expect(await deliveries.bounce('nonsense')).toBe(false)
  })
})

/** A reminder to an address that this kind would not take. */
const rawReminder = async (target: string): Promise<string> => {
  const id = await owing('reminded', anybody())
  await sql('UPDATE delivery SET target = $2 WHERE id = $1', [id, target])
  return id
}
