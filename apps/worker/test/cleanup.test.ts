import { until } from '@lapse/testkit'
import { expect, it } from 'vitest'
import { stage } from './stage.ts'

it('removes what is past its retention by its schedule, and once at the start when it is told to', async () => {
  const app = await stage()
  const past = async () => {
    const { id } = await app.lapse.issue('pass', { expiresIn: '1h' })
    await app.lapse.revoke('pass', id)
    await app.sql(`UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s,
      ended_at = ended_at - s, due_at = due_at - s FROM (SELECT '40 days'::interval AS s) AS shift WHERE id = '${id}'`)
    return id
  }
  // Without its schedule only the start is left.
  await app.lapse.queues.upkeep.pause()
  const id = await past()
  const worker = await app.startWorker({ LAPSE_CLEANUP_ON_START: 'true' })
  await app.happened(id, 'purged')
  await until(() => worker.output().includes('cleaned up'), { what: 'the log' })
  expect(worker.output()).toMatch(/"removed":\{"pass":1\}/)
  await worker.stop()

  await app.lapse.queues.upkeep.resume()
  const later = await past()
  const scheduled = await app.startWorker({ LAPSE_PURGE_SECONDS: '1' })
  await app.happened(later, 'purged')
  await scheduled.stop()
})
