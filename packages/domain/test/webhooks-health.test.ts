import { describe, expect, it } from 'vitest'
import { createDomain } from '../src/index.ts'
import { plain } from './kinds.ts'
import { day, minute, second } from './support.ts'
import { key, testWebhooks } from './webhooks.ts'

const { domain, attempt, deeds, endpoints, issue, made, sql, told, url } = await testWebhooks()

const failed = { status: 'failed', error: 'answered with 500', code: 500, retryInMs: 0 } as const
const gone = { status: 'dead', error: 'answered with 410', code: 410 } as const
/** A delivery to this endpoint, as somebody would make the next attempt at it. */
const owing = async (endpoint: string): Promise<string> => (await told(endpoint, await issue()))[0]?.id ?? ''
/** As if it had been failing for so much longer. */
const failing = (id: string, ms: number) =>
  sql(
    `UPDATE webhook_endpoint SET failing_since = failing_since - $2::float8 * interval '1 millisecond' WHERE id = $1`,
    [id, ms],
  )
/** The mails about it. */
const lettersAbout = (id: string) =>
  sql<{ target: string; notice: { type: string; letter: { subject: string; lines: string[] } } }>(
    `SELECT target, notice FROM delivery WHERE channel = 'email' AND notice #>> '{data,endpoint_id}' = $1`,
    [id],
  )

describe('an endpoint', () => {
  it('fails since its first failure, and no more from a success on', async () => {
    const { id } = await made()
    const delivery = await owing(id)
    await attempt(delivery, failed)
    const { failingSince } = await endpoints.get(id)
    expect(failingSince).toBeInstanceOf(Date)
    await failing(id, minute)
    await attempt(delivery, failed)
    await attempt(await owing(id), { status: 'dead', error: 'answered with 404', code: 404 })
    expect((await endpoints.get(id)).failingSince?.getTime()).toBe((failingSince?.getTime() ?? 0) - minute)
    await attempt(delivery, { status: 'sent', code: 200 })
    expect((await endpoints.get(id)).failingSince).toBeNull()
    expect(await deeds(id)).toHaveLength(1)
  })

  it('that does not fail is not written to by a success', async () => {
    const { id } = await made()
    const version = () => sql('SELECT xmin::text, ctid::text FROM webhook_endpoint WHERE id = $1', [id])
    const before = await version()
    await attempt(await owing(id), { status: 'sent' })
    expect(await version()).toEqual(before)
  })

  it('does not fail by what we failed at ourselves, however long that takes', async () => {
    const { id } = await made()
    const delivery = await owing(id)
    await attempt(delivery, { ...failed, ours: true })
    expect((await endpoints.get(id)).failingSince).toBeNull()
    await attempt(delivery, failed)
    await failing(id, 6 * day)
    await attempt(delivery, { status: 'dead', error: 'no key opens it', ours: true })
    expect((await endpoints.get(id)).status).toBe('enabled')
    expect(await lettersAbout(id)).toEqual([])
  })

  it('that has failed for five days is disabled, and its owner told what to do', async () => {
    const { id } = await made({
      ...{ url: 'https://example.com/a-secret-path', description: 'Billing', contact: 'ada@example.com' },
    })
    const delivery = await owing(id)
    await attempt(delivery, failed)
    await failing(id, 5 * day - 10 * second)
    await attempt(delivery, failed)
    expect((await endpoints.get(id)).status).toBe('enabled')
    await failing(id, 10 * second)
    await attempt(delivery, failed)
    const endpoint = await endpoints.get(id)
    expect(endpoint).toMatchObject({ status: 'disabled', disabledReason: 'it has failed for five days' })
    expect((await deeds(id)).at(-1)).toMatchObject({
      type: 'disabled',
      trigger: 'job',
      reason: endpoint.disabledReason,
    })
    const letters = await lettersAbout(id)
    expect(letters).toMatchObject([{ target: 'ada@example.com', notice: { type: 'lapse.endpoint.disabled' } }])
    const text = JSON.stringify(letters[0]?.notice.letter)
    for (const told of ['https://example.com (Billing)', `${id}/enable`, endpoint.failingSince?.toISOString() ?? '-'])
      expect(text).toContain(told)
    expect(text).not.toContain('secret')
    // What waits for it is cancelled as it comes up.
    expect(await domain.deliveries.claim(delivery, minute)).toMatchObject({ verdict: 'settled' })
    expect(await domain.deliveries.get(delivery)).toMatchObject({ status: 'cancelled' })
    expect(await told(id, await issue())).toEqual([])
    // Enabled, it begins anew.
    expect(await endpoints.enable(id)).toMatchObject({ status: 'enabled', failingSince: null })
    await attempt(await owing(id), failed)
    expect((await endpoints.get(id)).status).toBe('enabled')
  })

  it('H2: that answers 410 is disabled at once', async () => {
    const { id } = await made({ contact: 'ada@example.com' })
    await attempt(await owing(id), gone)
    expect(await endpoints.get(id)).toMatchObject({ status: 'disabled', disabledReason: 'it answered 410 Gone' })
    expect(await lettersAbout(id)).toHaveLength(1)
  })

  it('with nobody to answer for it is told of to the operator, if there is one', async () => {
    const operated = createDomain({ url, kinds: [plain], secrets: [key], operatorEmail: 'operator@example.com' })
    const [{ id }, { id: other }] = [await made(), await made()]
    for (const [at, endpoint] of [
      [operated, id],
      [domain, other],
    ] as const) {
      const delivery = await owing(endpoint)
      await at.deliveries.claim(delivery, minute)
      await at.deliveries.settle(delivery, 1, 5, gone)
    }
    await operated.close()
    expect(await lettersAbout(id)).toMatchObject([{ target: 'operator@example.com' }])
    expect([await lettersAbout(other), (await endpoints.get(other)).status]).toEqual([[], 'disabled'])
  })

  it('that was disabled stays so whatever comes back from attempts that were under way', async () => {
    const { id } = await made({ contact: 'ada@example.com' })
    await attempt(await owing(id), failed)
    const deliveries = [await owing(id), await owing(id), await owing(id)]
    for (const delivery of deliveries) await domain.deliveries.claim(delivery, minute)
    const disabled = await endpoints.disable(id)
    for (const [i, outcome] of ([{ status: 'sent' }, failed, gone] as const).entries())
      await domain.deliveries.settle(deliveries[i] ?? '', 1, 5, outcome)
    expect(await endpoints.get(id)).toEqual(disabled)
    expect([await lettersAbout(id), (await deeds(id)).length]).toEqual([[], 2])
  })

  it('at another address has not failed yet', async () => {
    const { id } = await made()
    await attempt(await owing(id), failed)
    expect((await endpoints.update(id, { description: 'the same address' })).failingSince).not.toBeNull()
    expect((await endpoints.update(id, { url: 'https://example.com/new' })).failingSince).toBeNull()
  })

  it('is not judged by an attempt that somebody else has taken over, nor by one that was broken off', async () => {
    const { id } = await made()
    const delivery = await owing(id)
    await domain.deliveries.claim(delivery, minute)
    await domain.deliveries.settle(delivery, 1, 5, { status: 'interrupted', error: 'stopped' })
    await domain.deliveries.claim(delivery, minute)
    await domain.deliveries.settle(delivery, 1, 5, gone)
    expect(await endpoints.get(id)).toMatchObject({ status: 'enabled', failingSince: null })
  })

  it('fails, or does not, by a test as well', async () => {
    const { id } = await made()
    await attempt(await owing(id), failed)
    const { deliveryId } = await endpoints.test(id)
    await attempt(deliveryId, { status: 'sent' })
    expect((await endpoints.get(id)).failingSince).toBeNull()
  })
})

it('an attempt and what it says of its endpoint are written in one commit', async () => {
  const { id } = await made()
  const delivery = await owing(id)
  await domain.deliveries.claim(delivery, minute)
  await sql(`ALTER TABLE webhook_endpoint ADD CONSTRAINT refused CHECK (failing_since IS NULL) NOT VALID`)
  await expect(domain.deliveries.settle(delivery, 1, 5, failed)).rejects.toThrow()
  expect(await domain.deliveries.get(delivery)).toMatchObject({ status: 'pending', log: [{ status: 'started' }] })
  await sql(`ALTER TABLE webhook_endpoint DROP CONSTRAINT refused`)
  await domain.deliveries.settle(delivery, 1, 5, failed)
  expect((await endpoints.get(id)).failingSince).not.toBeNull()
})
