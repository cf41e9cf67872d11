import { until } from '@lapse/testkit'
import { expect, it } from 'vitest'
import { type Body, breakableWay, testApi } from './api.ts'

it('alerts are listed, and tell themselves by the metrics, though no worker is there', async () => {
  const api = await testApi({
    env: { LAPSE_WATCH_SECONDS: '1', LAPSE_OPERATOR_EMAIL: 'ops@example.com', LAPSE_ALERT_SWEEP_SECONDS: '60' },
  })
  const listed = async (name: string): Promise<Body> =>
    (await api.call('GET', '/v1/alerts')).body.items.find((alert: Body) => alert.name === name)
  const metrics = async () => (await api.call('GET', '/metrics')).text
  expect(await listed('not-swept')).toMatchObject({ raised: false, raised_at: null, advice: expect.any(String) })
  expect(await metrics()).toContain('lapse_alert{name="not-swept"} 0')

  // As if the last worker had stopped an hour ago.
  await api.sql(
    `INSERT INTO pulse VALUES ('sweep', now() - interval '1 hour') ON CONFLICT (name) DO UPDATE SET at = excluded.at`,
  )
  await until(async () => (await listed('not-swept')).raised, { what: 'the alert' })
  expect(await listed('not-swept')).toMatchObject({ cleared_at: null, detail: expect.stringContaining('60 minutes') })
  const text = await metrics()
  expect(text).toContain('lapse_alert{name="not-swept"} 1')
  expect(Number(/^lapse_last_sweep_seconds (\S+)$/m.exec(text)?.[1])).toBeGreaterThan(3_599)
  expect(text).toContain('lapse_oldest_pending_seconds{channel="webhook"} 0')
  const { items } = (await api.call('GET', '/v1/deliveries?kind=lapse')).body
  expect(items).toMatchObject([{ resource_id: null, event: 'lapse.alert.raised', target: 'ops@example.com' }])
  // Workers are woken, and claim it before all that is not as urgent.
  const waiting = await api.lapse.queues.email.getWaiting()
  expect(waiting.map((job) => job.data.delivery)).toContain(items[0].id)
  expect(await api.sql('SELECT priority FROM delivery WHERE id = $1', [items[0].id])).toEqual([{ priority: 1 }])
})

it('without PostgreSQL the metrics tell the rest', async () => {
  const way = breakableWay()
  const api = await testApi({ databaseUrl: way.to })
  expect((await api.call('GET', '/metrics')).text).toContain('lapse_alert{')
  way.cut()
  const { status, text } = await api.call('GET', '/metrics')
  expect([status, text]).toEqual([200, expect.stringContaining('process_cpu_seconds_total')])
  expect(text).not.toContain('lapse_alert{')
  way.open()
})
