import { nowSql, privateRedis, refusals, refuseWrites } from '@lapse/testkit'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { stage } from './stage.ts'

// Some look for what is not there, which takes a while on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

interface Finding {
  about: string
  verdict: 'well' | 'warning' | 'wrong'
  text: string
}

let app: Awaited<ReturnType<typeof stage>>
beforeAll(async () => {
  app = await stage()
})

/** What is wrong, or worth a look, by what it is about. */
const findings = async (more: Record<string, string> = {}, at = app) => {
  const { code, out, err } = await at.runWith(more, 'doctor', '--json')
  expect(err).toBe('')
  const { well, findings: all } = JSON.parse(out) as { well: boolean; findings: Finding[] }
  const texts = (verdict: Finding['verdict']) =>
    all.filter((one) => one.verdict === verdict).map(({ about, text }) => `${about}: ${text}`)
  expect([well, code]).toEqual(texts('wrong').length === 0 ? [true, 0] : [false, 1])
  return { wrong: texts('wrong'), warnings: texts('warning'), well: texts('well') }
}

describe('lapse doctor', () => {
  it('says of everything that it is well, in lines for people and in JSON for programs', async () => {
    await app.trial({ expiresIn: '5m' })
    const { wrong, well } = await findings()
    expect(wrong).toEqual([])
    for (const about of [
      'postgres',
      'clock',
      'migrations',
      'indexes',
      'overdue',
      'deliveries',
      'alerts',
      'redis',
      'timers',
      'secret',
    ])
      expect(well.map((text) => text.split(':')[0])).toContain(about)
    const { code, out } = await app.run('doctor')
    expect(code).toBe(0)
    expect(out).toMatch(/^✓ postgres {4}PostgreSQL \d+\.\d+ answers\.$/m)
    expect(out).not.toContain('\u001b[')
    expect(out + well.join()).not.toContain(app.env.LAPSE_SECRET)
  })

  it('L3: says which old key is needed and by what, until it has been rotated', async () => {
    const own = await stage()
    await own.lapse.webhookEndpoints.create({ url: 'https://example.com/hook', events: ['issued'] })
    const fresh = 'a newer key for the tests of the command line'
    const both = { LAPSE_SECRET: `${fresh},${own.env.LAPSE_SECRET}` }
    const secret = async (env: Record<string, string>) => {
      const { well, wrong } = await findings(env, own)
      return [...well, ...wrong].filter((text) => /LAPSE_SECRET/.test(text))
    }
    expect(await secret({ LAPSE_SECRET: fresh })).toContainEqual(
      expect.stringMatching(/lacks a key that sealed webhook endpoints.*LAPSE_SECRET=new,old/),
    )
    expect(await secret(both)).toEqual([
      'secret: Keep the second key of LAPSE_SECRET: it has sealed webhook endpoints, which "lapse secrets rotate" seals anew.',
    ])
    const { code, out } = await own.runWith(both, 'secrets', 'rotate')
    expect([code, out.trim()]).toEqual([0, '1 secret is sealed anew.'])
    expect(await secret(both)).toEqual(['secret: Nothing needs the second key of LAPSE_SECRET any more: take it away.'])
    expect(await secret({ LAPSE_SECRET: fresh })).toEqual(['secret: LAPSE_SECRET is set.'])
  })

  it('finds a secret that is not set, and no worker', async () => {
    const { warnings } = await findings({ LAPSE_SECRET: '' })
    expect(warnings).toContainEqual(expect.stringMatching(/^secret: LAPSE_SECRET is not set.*openssl rand/))
    expect(warnings).toContainEqual(expect.stringMatching(/^workers: None is connected/))
  })

  it('finds an index that is gone and one that is invalid, and says how to bring them back', async () => {
    const own = await stage()
    await own.sql('DROP INDEX resource_scope')
    await own.sql(`INSERT INTO resource (id, kind, issued_at, changed_at, expires_at, ends_at, due_at, next_step)
      SELECT gen_random_uuid(), 'trial', ${nowSql}, ${nowSql}, e, e, e, 'expire' FROM (SELECT now() + '1 day'::interval AS e) x, generate_series(1, 2)`)
    await own.sql('DROP INDEX resource_kind_id_idx')
    // Two rows of one kind: it fails, and is left half-built.
    await own.sql('CREATE UNIQUE INDEX CONCURRENTLY resource_kind_id_idx ON resource (kind)').catch(() => {})
    const { wrong } = await findings({}, own)
    expect(wrong).toContainEqual(expect.stringMatching(/^indexes: resource_scope is missing.*prisma\/migrations/))
    expect(wrong).toContainEqual(expect.stringMatching(/^indexes: resource_kind_id_idx is invalid.*REINDEX/))
  })

  it('finds what is overdue, side effects that gave up, and timers that are not in Redis', async () => {
    const own = await stage()
    const { id } = await own.trial()
    await own.age(id, 12 * 86_400)
    const soon = await own.trial({ expiresIn: '5m' })
    await own.lapse.queues.timers.obliterate({ force: true })
    await own.sql(
      `INSERT INTO delivery (resource_id, kind, version, event, event_id, channel, target, status, created_at, settled_at)
       SELECT resource_id, kind, 1, 'issued', id, 'email', 'x@example.com', 'dead', ${nowSql}, ${nowSql} FROM event LIMIT 1`,
    )
    const { wrong } = await findings({}, own)
    expect(wrong).toContainEqual(expect.stringMatching(/^overdue: 1 of kind trial .* s ago.*lapse sweep/))
    expect(wrong).toContainEqual(
      expect.stringMatching(/^deliveries: 1 by email has given up.*lapse deliveries retry-dead/),
    )
    expect(wrong).toContainEqual(expect.stringMatching(new RegExp(`^timers: 1 of the 1 .*${soon.id}.*lapse rearm`)))
    expect((await own.run('sweep')).out).toMatch(/trial: 1 expired/)
    expect((await own.run('rearm')).out).toMatch(/timers? (is|are) armed/)
    const after = await findings({}, own)
    expect(after.wrong.map((text) => text.split(':')[0])).toEqual(['deliveries'])
  })

  it('shows the alerts that are raised, and what to do', async () => {
    const own = await stage()
    await own.sql(`INSERT INTO pulse VALUES ('sweep', now() - interval '1 hour')`)
    await own.lapse.alerts.watch()
    const { wrong } = await findings({}, own)
    expect(wrong).toEqual([
      expect.stringMatching(/^alerts: not-swept, since .*Nobody has swept for 60 minutes.*Start a worker/),
    ])
  })

  it('finds a Redis that may evict timers and keeps nothing', async () => {
    const redis = await privateRedis({ settings: { 'maxmemory-policy': 'allkeys-lru' } })
    const { wrong, warnings } = await findings({ REDIS_URL: redis.url })
    expect(wrong).toContainEqual(expect.stringMatching(/^redis: .*allkeys-lru.*Set it to noeviction/))
    expect(warnings).toContainEqual(expect.stringMatching(/^redis: .*appendonly yes/))
  })

  it.each(refusals)(
    'finds a Redis that refuses writes with %s, and says so in its words, and what to do',
    async (refusal) => {
      const redis = await privateRedis({ appendonly: true })
      await refuseWrites(redis.url, refusal)
      const { wrong, well } = await findings({ REDIS_URL: redis.url })
      expect(wrong).toContainEqual(
        expect.stringMatching(new RegExp(`^redis: Redis refuses writes: ${refusal} .*\\. .*sweep`)),
      )
      expect(well.filter((text) => text.startsWith('redis'))).toEqual([])
      const rearm = await app.runWith({ REDIS_URL: redis.url }, 'rearm')
      expect([rearm.code, rearm.err]).toEqual([
        1,
        expect.stringMatching(new RegExp(`^Redis refuses writes: ${refusal} `)),
      ])
    },
  )

  it('looks at the rest when Redis is away, or PostgreSQL is', async () => {
    const redis = await privateRedis()
    await redis.stop()
    const away = await findings({ REDIS_URL: redis.url })
    expect(away.wrong).toEqual([expect.stringMatching(/^redis: Redis cannot be reached.*REDIS_URL/)])
    expect(away.well).toContainEqual(expect.stringMatching(/^indexes/))
    const gone = await findings({ DATABASE_URL: 'postgresql://nobody:secret-password@127.0.0.1:1/none' })
    expect(gone.wrong).toEqual([expect.stringMatching(/^postgres: PostgreSQL cannot be reached.*DATABASE_URL/)])
    expect(gone.well).toContainEqual(expect.stringMatching(/^redis/))
  })

  it('finds a database without migrations, and one whose migration has not finished', async () => {
    const own = await stage()
    await own.sql(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('x', '', '20990101000000_half')`,
    )
    expect((await findings({}, own)).wrong).toEqual([
      expect.stringMatching(/^migrations: 20990101000000_half has begun/),
    ])
    await own.sql('DELETE FROM _prisma_migrations')
    expect((await findings({}, own)).wrong).toEqual([expect.stringMatching(/^postgres: .*lacks the migration/)])
  })
})
