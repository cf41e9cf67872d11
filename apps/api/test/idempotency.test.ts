import { beforeAll, describe, expect, it } from 'vitest'
import { testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

const issue = (body: object, key: string) => api.call('POST', '/v1/resources', body, { 'idempotency-key': key })
const count = async (reference: string) =>
  (await api.call('GET', `/v1/resources?reference=${reference}&count=true`)).body.count

describe('Idempotency-Key', () => {
  it('the same request again gets the same answer and does nothing', async () => {
    const body = { kind: 'ticket', reference: 'again', expires_in: 60, payload: { b: 1, a: { d: 1, c: [1, 2] } } }
    const first = await issue(body, 'again')
    const second = await issue({ ...body, payload: { a: { c: [1, 2], d: 1 }, b: 1 } }, 'again')
    expect(first.status).toBe(201)
    expect(first.body.timer).toBe('armed')
    expect(first.headers.get('idempotent-replayed')).toBeNull()
    expect(second.headers.get('idempotent-replayed')).toBe('true')
    expect([second.status, second.text, second.headers.get('location')]).toEqual([
      201,
      first.text,
      first.headers.get('location'),
    ])
    expect(await count('again')).toBe(1)
  })

  it('20 at once with one key issue one resource', async () => {
    const body = { kind: 'ticket', reference: 'crowd', expires_in: 60 }
    const answers = await Promise.all(Array.from({ length: 20 }, () => issue(body, 'crowd')))
    const made = answers.filter((answer) => answer.status === 201)
    const busy = answers.filter((answer) => answer.status === 409)
    expect(made.length).toBeGreaterThan(0)
    expect(made.length + busy.length).toBe(20)
    expect(new Set(made.map((answer) => answer.body.id)).size).toBe(1)
    expect(new Set(busy.map((answer) => answer.body.code))).toEqual(new Set(busy.length ? ['idempotency_running'] : []))
    expect(await count('crowd')).toBe(1)
  })

  it('50 at once with 50 keys and 10 connections all get through', async () => {
    const holders = Array.from({ length: 50 }, (_, i) => ({
      kind: 'pass',
      reference: `many-${i}`,
      expires_in: 1,
      grace: 0,
    }))
    const first = await api.call('POST', '/v1/resources/bulk', { items: holders })
    await Promise.all(first.body.items.map((holder: { id: string }) => api.age(holder.id, 60)))
    // Each has to make room first: its reference belongs to somebody who is over and has not been swept.
    const answers = await Promise.all(holders.map((holder, i) => issue({ ...holder, expires_in: 60 }, `many-${i}`)))
    expect(answers.map((answer) => answer.status)).toEqual(holders.map(() => 201))
  })

  it('another body, another address: 422 and nothing is done', async () => {
    const { body } = await issue({ kind: 'ticket', expires_in: 60 }, 'one')
    const other = await issue({ kind: 'ticket', expires_in: 61 }, 'one')
    expect(other.body).toMatchObject({ status: 422, code: 'idempotency_mismatch' })
    const elsewhere = await api.call('POST', `/v1/resources/${body.id}/consume`, undefined, {
      'idempotency-key': 'one',
    })
    expect(elsewhere.body).toMatchObject({ status: 422, code: 'idempotency_mismatch' })
    expect((await api.call('GET', `/v1/resources/${body.id}`)).body.uses).toBe(0)
  })

  it('a refused request keeps no key: put right, it goes through', async () => {
    expect((await issue({ kind: 'nope', expires_in: 60 }, 'right')).status).toBe(422)
    expect((await issue({ kind: 'ticket', expires_in: 60 }, 'right')).status).toBe(201)
  })

  it('a use is counted once for each key', async () => {
    const { body } = await issue({ kind: 'ticket', expires_in: 60 }, 'uses')
    const use = (key: string) =>
      api.call('POST', `/v1/resources/${body.id}/consume`, undefined, { 'idempotency-key': key })
    const [first, again] = [await use('use-1'), await use('use-1')]
    expect([first.body.uses, again.body.uses, again.text]).toEqual([1, 1, first.text])
    await use('use-2')
    expect((await use('use-3')).body).toMatchObject({ uses: 3, status: 'consumed' })
    const denied = await use('use-4')
    expect(denied.body).toMatchObject({ status: 409, code: 'already_ended' })
    const deniedAgain = await use('use-4')
    expect(deniedAgain.headers.get('idempotent-replayed')).toBe('true')
    expect({ ...deniedAgain.body, instance: '' }).toEqual({ ...denied.body, instance: '' })
  })

  it('bulk and trials take it too', async () => {
    const twice = async (path: string, body: object, key: string) => {
      const send = () => api.call('POST', path, body, { 'idempotency-key': key })
      return [await send(), await send()] as const
    }
    const [bulk, bulkAgain] = await twice('/v1/resources/bulk', { items: [{ kind: 'ticket', expires_in: 60 }] }, 'bulk')
    expect([bulkAgain.status, bulkAgain.text]).toEqual([201, bulk.text])
    expect(bulk.body.items[0].timer).toBe('armed')
    const [trial, trialAgain] = await twice('/v1/trials', { email: 'a@example.com' }, 'trial')
    expect([trialAgain.status, trialAgain.text]).toEqual([201, trial.text])
    const [sale, saleAgain] = await twice(`/v1/trials/${trial.body.id}/convert`, {}, 'convert')
    expect([saleAgain.status, saleAgain.text]).toEqual([200, sale.text])
  })

  it.each(['', 'a b', 'ä', 'x'.repeat(256)])('the key %j is a 422', async (key) => {
    const sent = key === 'ä' ? Buffer.from(key).toString('latin1') : key
    const { body } = await issue({ kind: 'ticket', expires_in: 60 }, sent)
    expect(body).toMatchObject({ status: 422, field: 'idempotency-key' })
  })
})
