import type { Engine } from 'lapse'
import { expect, it } from 'vitest'
import { Net } from '../src/net.ts'
import { stage } from './stage.ts'

it('D1 what becomes due after the sweep and before the look-ahead does not wait for the next sweep', async () => {
  const app = await stage()
  const { id } = await app.lapse.issue('pass', { expiresIn: '1h' })
  const engine = app.lapse.engine({ onError: () => {} })
  const between = {
    beginAnew: () => engine.beginAnew(),
    isRemembered: () => engine.isRemembered(),
    sweep: () => engine.sweep(),
    lookAhead: async () => {
      await app.sql(
        `UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s, due_at = due_at - s
         FROM (SELECT interval '2 hours' AS s) AS shift WHERE id = $1`,
        [id],
      )
      return engine.lookAhead()
    },
  } as Engine
  const hour = 3_600_000
  const net = new Net(app.lapse, between, { sweep: hour, 'look-ahead': hour, purge: hour }, () => {})
  await net.start()
  await net.stop()
  engine.stop()
  expect((await app.lapse.events({ resourceId: id, type: 'expired' }))[0]?.trigger).toBe('sweep')
})
