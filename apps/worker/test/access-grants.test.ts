import { nowSql, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { stage } from './stage.ts'

describe('access grants with a worker', () => {
  it('B9: of two overlapping grants access lasts until the second ends; both expire by themselves, and the watch tells', async () => {
    const app = await stage()
    const worker = await app.startWorker()
    const { accessGrants } = app.lapse
    const triple = { resource: 'document:42', relation: 'viewer', subject: 'user:7' }
    const { cursor } = await accessGrants.watch({ cursor: 'now' })
    const first = await accessGrants.create({ ...triple, source: 'ticket-1', expiresInMs: 1_500 })
    const second = await accessGrants.create({ ...triple, source: 'ticket-2', expiresInMs: 3_500 })
    expect(first.timer).toBe('armed')

    await app.happened(first.id, 'expired')
    const meanwhile = await accessGrants.check(triple)
    // Unless this machine was busy for two seconds, in which the second has ended too.
    const [clock] = (await app.sql(`SELECT ${nowSql} AS at`)).rows
    if (clock.at < second.expiresAt) expect(meanwhile).toEqual({ allowed: true, until: second.expiresAt })

    const expired = await app.happened(second.id, 'expired')
    expect(expired.at.getTime()).toBeGreaterThanOrEqual(second.expiresAt.getTime())
    expect(await accessGrants.check(triple)).toEqual({ allowed: false, until: null })
    for (const { id } of [first, second])
      expect((await app.story(id)).map((event) => event.type)).toEqual(['issued', 'expired'])
    // As the worker's configuration has it.
    const kept = await app.sql(`SELECT DISTINCT due_at - changed_at = interval '5 minutes' AS brief FROM resource`)
    expect(kept.rows).toEqual([{ brief: true }])
    const told = await until(
      async () => {
        const { changes } = await accessGrants.watch({ cursor })
        return changes.length === 4 && changes
      },
      { timeout: 60_000, what: 'four changes' },
    )
    expect(told.map(({ type, grant }) => [type, grant.source])).toEqual([
      ['granted', 'ticket-1'],
      ['granted', 'ticket-2'],
      ['expired', 'ticket-1'],
      ['expired', 'ticket-2'],
    ])
    await worker.stop()
  })

  it('F1: who has given an address is told a quarter of an hour before the end, once', async () => {
    const app = await stage()
    const email = 'ada@example.com'
    const worker = await app.startWorker()
    const triple = { resource: 'document:42', relation: 'viewer', subject: 'user:7' }
    const { id } = await app.lapse.accessGrants.create({ ...triple, email, expiresInMs: 15 * 60_000 + 1_500 })
    await app.happened(id, 'reminded')
    const mail = await app.inbox.waitForMail(({ to }) => to.includes(email))
    expect(mail.subject).toBe('A grant of yours ends in 15 minutes: viewer of document:42')
    await worker.stop()
    expect(app.mailsTo(email)).toHaveLength(1)
  })
})
