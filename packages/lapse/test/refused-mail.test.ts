import { createDomain } from '@lapse/domain'
import { mailSink, testDatabase } from '@lapse/testkit'
import { afterAll, afterEach, expect, it } from 'vitest'
import { createDeliverer } from '../src/delivery/deliverer.ts'
import { createMailer } from '../src/mail/mailer.ts'

const { url } = await testDatabase()
const domain = createDomain({ url, kinds: [], secrets: ['a key for the tests of refused mails alone'] })
const sink = await mailSink()
const mailer = createMailer({ transport: sink.url, from: 'lapse@example.com' })
// One attempt: what is tried again afterwards is tried for longer than usual.
const deliver = createDeliverer(domain, { mailer, backoff: { baseMs: 10_000, capMs: 10_000, attempts: 1 } })
afterEach(() => {
  sink.refuse = () => undefined
})
afterAll(async () => {
  mailer.close()
  await domain.close()
})

const mailTo = async (target: string) => {
  const letter = { subject: 'A letter', lines: ['It is refused.'] }
  const [owed] = await domain.deliveries.owe({ type: 'lapse.letter', data: {}, letter }, [{ channel: 'email', target }])
  const id = owed?.id ?? ''
  await deliver('email', id)
  return domain.deliveries.get(id)
}
const suppressed = async (address: string) =>
  (await domain.suppressions.list({ address }, { limit: 10 })).map(({ reason, detail }) => ({ reason, detail }))

it.each(['recipient', 'data'] as const)(
  'an address that does not exist, refused at the %s, gets no other mail',
  async (what) => {
    sink.refuse = (about) => (about[what] === undefined ? undefined : '550 5.1.1 User unknown')
    const address = `Gone.${what}@example.com`
    expect(await mailTo(address)).toMatchObject({ status: 'dead', log: [{ status: 'dead', code: 550 }] })
    expect(await suppressed(address)).toEqual([{ reason: 'bounced', detail: '550 5.1.1 User unknown' }])
    const seen = sink.seen.length
    sink.refuse = () => undefined
    expect(await mailTo(address.toUpperCase())).toMatchObject({ status: 'dead', attempts: 0, log: [] })
    expect(sink.seen).toHaveLength(seen)
  },
)

it.each([
  ['550 5.2.1 mailbox disabled', 'dead'],
  ['550 no', 'dead'],
  ['550 5.2.2 mailbox full', 'failed'],
  ['554 5.7.1 blocked', 'failed'],
  ['450 later', 'dead'],
])(
  'a mail that is refused with %j is %s after the last of the usual attempts, and its address stays welcome',
  async (reply, status) => {
    sink.refuse = ({ recipient }) => (recipient === undefined ? undefined : reply)
    expect((await mailTo('ada@example.com')).status).toBe(status)
    expect(await suppressed('ada@example.com')).toEqual([])
  },
)
