import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { plain } from './kinds.ts'
import { signal, testDomain } from './support.ts'

const { domain, sql, another } = await testDomain([plain])
const request = (key: string, fingerprint = 'f') => ({ owner: 'me', key, fingerprint })
const issueOnce = (asked: ReturnType<typeof request>, inside: () => Promise<void> = async () => {}, at = domain) =>
  at.once(asked, async (tx) => {
    const { resource } = await at.resources.within(tx).issue({ kind: 'plain', scope: asked.key })
    await inside()
    return { id: resource.id }
  })
const issued = (scope: string) => domain.resources.count({ scope })

it('the same request gets the same answer, and happens once', async () => {
  const first = await issueOnce(request('same'))
  const again = await issueOnce(request('same'))
  expect([first.replayed, again.replayed]).toEqual([false, true])
  expect(again.answer).toEqual(first.answer)
  expect(await issued('same')).toBe(1)
})

it('is kept apart for each owner', async () => {
  await issueOnce(request('shared'))
  expect((await issueOnce({ ...request('shared'), owner: 'you' })).replayed).toBe(false)
})

it('another request under the same key is refused', async () => {
  await issueOnce(request('other'))
  await expect(issueOnce(request('other', 'g'))).rejects.toMatchObject({ code: 'idempotency_mismatch', status: 422 })
  expect(await issued('other')).toBe(1)
})

it('while the first one runs, the second is told so, also at another process', async () => {
  const elsewhere = another([plain])
  const [entered, left] = [signal(), signal()]
  const first = issueOnce(request('slow'), async () => {
    entered.give()
    await left.given
  })
  await entered.given
  for (const at of [domain, elsewhere])
    await expect(issueOnce(request('slow'), undefined, at)).rejects.toMatchObject({ code: 'idempotency_running' })
  left.give()
  await first
  expect((await issueOnce(request('slow'), undefined, elsewhere)).replayed).toBe(true)
})

it('one that fails or dies in the middle leaves nothing, and can come again', async () => {
  const failing = issueOnce(request('failing'), () => Promise.reject(new Error('no')))
  await expect(failing).rejects.toThrow('no')
  const dying = issueOnce(request('failing'), async () => {
    await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'lapse'`)
    await sleep(50)
  })
  await expect(dying).rejects.toThrow()
  expect(await issued('failing')).toBe(0)
  expect((await issueOnce(request('failing'))).replayed).toBe(false)
  expect(await issued('failing')).toBe(1)
})

it('what became known only after the commit can be added to the answer', async () => {
  const { answer } = await issueOnce(request('amended'))
  await domain.amendAnswer(request('amended'), { ...answer, timers: 'armed' })
  expect((await issueOnce(request('amended'))).answer).toEqual({ ...answer, timers: 'armed' })
})

it('answers are forgotten after a day', async () => {
  await issueOnce(request('old'))
  await issueOnce(request('new'))
  await sql(`UPDATE idempotency_key SET created_at = created_at - interval '25 hours' WHERE key = 'old'`)
  expect(await domain.cleanUp()).toMatchObject({ answers: 1, done: true })
  expect((await issueOnce(request('old'))).replayed).toBe(false)
  expect((await issueOnce(request('new'))).replayed).toBe(true)
})
