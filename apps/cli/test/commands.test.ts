import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nowSql, privateRedis } from '@lapse/testkit'
import type { Command } from 'commander'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { createProgram } from '../src/program.ts'
import { runIn, stage } from './stage.ts'

let app: Awaited<ReturnType<typeof stage>>
beforeAll(async () => {
  app = await stage()
})

const day = 86_400

/** Without a process for each. */
const helpOf = async (args: readonly string[]): Promise<string> => {
  let out = ''
  const listen = (command: Command) => {
    command.configureOutput({ writeOut: (text) => (out += text) })
    command.commands.forEach(listen)
  }
  const program = createProgram()
  listen(program)
  await expect(program.parseAsync([...args, '--help'], { from: 'user' })).rejects.toMatchObject({ exitCode: 0 })
  return out
}

// Some commands are processes of their own, which take a while on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

describe('the command line', () => {
  it('says what there is, and each command shows an example', async () => {
    const { code, out } = await runIn(tmpdir(), {}, '--help')
    expect(code).toBe(0)
    const names = [...out.matchAll(/^ {2}(\w+) /gm)].map(([, name = '']) => name).filter((name) => name !== 'help')
    const groups = {
      secrets: ['rotate'],
      tokens: ['create', 'revoke', 'list'],
      deliveries: ['list', 'show', 'retry', 'retry-dead', 'cancel'],
      webhooks: ['list', 'test', 'disable', 'enable', 'replay'],
    }
    const single = ['migrate', 'doctor', 'inspect', 'forecast', 'sweep', 'rearm', 'restored', 'cleanup']
    expect(names).toEqual([...single, ...Object.keys(groups)])
    const subcommands = Object.entries(groups).flatMap(([group, subs]) => subs.map((name) => [group, name]))
    for (const args of [...single.map((name) => [name]), ...subcommands])
      expect([args, await helpOf(args)]).toEqual([args, expect.stringContaining('Example:\n  ')])
  })

  it('tells a wrong command or environment by exit code 2, in words and without a stack', async () => {
    for (const [args, said] of [
      [['sweeep'], /unknown command 'sweeep'/],
      [['webhooks', 'delet', 'x'], /unknown command 'delet'[\s\S]*--help/],
      [['forecast', '--count', 'many'], /whole number from 1 to 1000/],
      [['tokens', 'create'], /required option '--name <name>'/],
      [['sweep'], /DATABASE_URL: is missing\. Example: .*\n.*REDIS_URL: is missing[\s\S]*npm start/],
    ] as const) {
      const { code, out, err } = await runIn(tmpdir(), {}, ...args)
      expect([args, code, out]).toEqual([args, 2, ''])
      expect(err).toMatch(said)
      expect(err).not.toMatch(/^\s+at /m)
    }
    const kind = await app.run('restored', '--revoke', '--kind', 'invit')
    expect([kind.code, kind.err]).toEqual([
      2,
      expect.stringMatching(/^There is no kind invit here\. There are: .*invite/),
    ])
    const wrong = await app.runWith({ LAPSE_CONFIG: './nowhere.config.ts' }, 'sweep')
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/LAPSE_CONFIG names .*no such file/)])
  })

  it('tells that a service is away by exit code 1, in words and without a stack or a password', async () => {
    const gone = { DATABASE_URL: 'postgresql://nobody:secret-password@127.0.0.1:1/none' }
    for (const args of [['sweep'], ['cleanup'], ['forecast'], ['tokens', 'list']]) {
      const { code, err } = await app.runWith(gone, ...args)
      expect([args, code, err]).toEqual([
        args,
        1,
        expect.stringMatching(/^PostgreSQL cannot be reached: .*ECONNREFUSED/),
      ])
      expect(err).not.toMatch(/^\s+at |secret-password/m)
    }
    const redis = await privateRedis()
    await redis.stop()
    const rearm = await app.runWith({ REDIS_URL: redis.url }, 'rearm')
    expect([rearm.code, rearm.err]).toEqual([1, expect.stringMatching(/^Redis cannot be reached: [\s\S]*REDIS_URL/)])
  })

  it('finds the services of a running `npm start` in its folder, unless others are given', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lapse-cli-'))
    mkdirSync(join(folder, '.data'))
    const lines = Object.entries(app.env).map(([name, value]) => `${name}="${value}"`)
    writeFileSync(join(folder, '.data/env'), lines.join('\n'))
    expect(await runIn(folder, {}, 'tokens', 'list')).toMatchObject({ code: 0, out: 'There is none.\n', err: '' })
    const half = await runIn(folder, { REDIS_URL: app.env.REDIS_URL }, 'tokens', 'list')
    expect([half.code, half.err]).toEqual([2, expect.stringContaining('DATABASE_URL: is missing')])
  })
})

describe('lapse tokens', () => {
  it('creates one, whose token stands alone on stdout and nowhere else, and revokes it', async () => {
    const own = await stage()
    const args = ['--name', 'nightly', '--scope', 'trials:read', '--scope', 'events:read', '--expires-in', '30d']
    const { code, out, err } = await own.run('tokens', 'create', ...args)
    expect(code).toBe(0)
    const token = out.trim()
    expect(token).toMatch(/^lps_api-token_\S+$/)
    expect(err).not.toContain(token.slice(-20))
    const verified = await own.lapse.apiTokens.verify(token, { scopes: ['trials:read', 'events:read'] })
    expect(verified).toMatchObject({ status: 'valid', apiToken: { payload: { name: 'nightly' } } })
    const id = 'apiToken' in verified ? verified.apiToken.id : ''
    expect((await own.run('tokens', 'list')).out).toMatch(new RegExp(`^${id} .*nightly$`, 'm'))
    const [, row = ''] = /lapse tokens revoke (\S+)/.exec(err) ?? []
    expect(row).toBe(id)
    expect(await own.run('tokens', 'revoke', id, '--reason', 'lost')).toMatchObject({
      code: 0,
      out: `${id} is revoked.\n`,
    })
    expect(await own.lapse.apiTokens.verify(token)).toMatchObject({ status: 'revoked' })
    expect((await own.run('tokens', 'list')).out).toBe('There is none.\n')
    expect((await own.run('tokens', 'list', '--all')).out).toContain('revoked')
    const [event] = await own.lapse.events({ resourceId: id, type: 'revoked' })
    expect(event).toMatchObject({ actor: 'cli', reason: 'lost' })
    const told = await own.run('inspect', id, '--json')
    expect(told.out).not.toContain(token.slice(-30))
  })

  it('refuses what the verbs refuse, with exit code 1, and prints no token', async () => {
    for (const [args, said] of [
      [['create', '--name', 'a', '--scope', 'Everything!'], /scopes\.0/],
      [['create', '--name', 'a', '--scope', '*', '--expires-in', '400d'], /365 days/],
      [['create', '--name', 'a', '--scope', '*', '--organization', 'nowhere'], /no such organization/i],
      [['revoke', '019abcde-0000-7000-8000-000000000001'], /no such resource/],
    ] as const) {
      const { code, out, err } = await app.run('tokens', ...args)
      expect([args, code, out, err]).toEqual([args, 1, '', expect.stringMatching(said)])
      expect(err).not.toMatch(/^\s+at /m)
    }
    const long = await app.run(
      'tokens',
      'create',
      '--name',
      'b',
      '--scope',
      '*',
      '--expires-in',
      '400d',
      '--long-lived',
    )
    expect(long.code).toBe(0)
  })
})

describe('lapse inspect', () => {
  it('tells the whole story: what it is, what is next, timers, events in order, deliveries with attempts', async () => {
    const { id } = await app.trial({ reference: 'acme', scope: 'docs' })
    await app.lapse.extend('trial', id, { expiresIn: '10d' }, { actor: 'ada', reason: 'asked nicely' })
    const { code, out } = await app.run('inspect', id)
    expect(code).toBe(0)
    expect(out).toMatch(new RegExp(`^trial ${id}$`, 'm'))
    expect(out).toMatch(/^ {2}status +active$/m)
    expect(out).toMatch(/^ {2}next +remind at .* {2}in 6 d 23 h$/m)
    expect(out).toMatch(/^ {2}✓ {2}expire +due .* {2}delayed, fires /m)
    expect(out.indexOf('issued  ')).toBeLessThan(out.indexOf('renewed'))
    expect(out).toContain('by ada, "asked nicely"')
    const story = JSON.parse((await app.run('inspect', id, '--json')).out)
    expect(story).toMatchObject({ id, resource: { kind: 'trial', version: 2 }, next: { step: 'remind' } })
    expect(
      story.timers.map((timer: { step: string; standing: object }) => [timer.step, timer.standing !== null]),
    ).toEqual([
      ['remind', true],
      ['remind', true],
      ['expire', true],
    ])
    for (const timer of story.timers) expect(Date.parse(timer.standing.firesAt)).toBe(timer.dueAt)
  })

  it('tells which timer is not in Redis, how deliveries went, and of what was purged its events', async () => {
    const { id } = await app.trial()
    await app.lapse.queues.timers.remove(`${id}-expire-v1`)
    expect((await app.run('inspect', id)).out).toMatch(/✗ {2}expire .*not in Redis/)
    await app.age(id, 9 * day)
    await app.run('sweep')
    await app.sql(`INSERT INTO delivery_attempt (delivery_id, number, at, duration_ms, status, error)
      SELECT id, 1, ${nowSql}, 12, 'failed', '451 later' FROM delivery WHERE resource_id = '${id}'`)
    const { out } = await app.run('inspect', id)
    expect(out).toMatch(/email to ada@example\.com +pending/)
    expect(out).toMatch(/attempt 1 +failed .* 12 ms +451 later/)
    await app.sql(`DELETE FROM resource WHERE id = '${id}'`)
    expect((await app.run('inspect', id)).out).toMatch(/It was purged; its events stay\.[\s\S]*issued[\s\S]*expired/)
    for (const [nobody, said] of [
      ['019abcde-0000-7000-8000-00000000000f', 'no such resource'],
      ['nonsense', 'not an id'],
    ] as const)
      expect(await app.run('inspect', nobody)).toMatchObject({ code: 1, err: expect.stringContaining(said) })
  })
})

describe('lapse deliveries', () => {
  const dead = async (own: Awaited<ReturnType<typeof stage>>) => {
    const { id: resource } = await own.trial()
    await own.age(resource, 9 * day)
    await own.run('sweep')
    const [delivery] = await own.lapse.deliveries.list({ resourceId: resource })
    const id = delivery?.id ?? ''
    await own.sql(
      `WITH tried AS (INSERT INTO delivery_attempt (delivery_id, number, at, duration_ms, status, error, code, answer)
        VALUES ($1, 1, ${nowSql}, 12, 'dead', 'it was refused', 550, 'no such mailbox'))
      UPDATE delivery SET status = 'dead', attempts = 1, last_error = 'it was refused', settled_at = ${nowSql}, next_attempt_at = NULL WHERE id = $1`,
      [id],
    )
    return { id, resource }
  }

  it('list and show what gave up and why, by filters; retry and cancel act on it', async () => {
    const own = await stage()
    expect(await own.run('deliveries', 'list')).toMatchObject({ code: 0, out: 'There is none.\n' })
    const { id, resource } = await dead(own)
    const filters = ['--channel', 'email', '--kind', 'trial', '--target', 'ada@example.com', '--resource', resource]
    const list = await own.run('deliveries', 'list', '--status', 'dead', '--since', '1h', ...filters)
    expect(list.code).toBe(0)
    expect(list.out).toMatch(
      new RegExp(`^${id} {2}dead {2}\\S+ {2}trial \\w+ {2}email to ada@example.com {2}1 attempt {2}it was refused\\n$`),
    )
    expect(
      JSON.parse((await own.run('deliveries', 'list', '--event', 'expired', '--until', '1h', '--json')).out),
    ).toEqual([])
    const { out } = await own.run('deliveries', 'show', id)
    expect(out).toMatch(new RegExp(`^email ${id}\\n {2}status +dead\\n {2}what +\\w+ of trial ${resource}, version 1`))
    expect(out).toMatch(/^ {2}1 {2}dead {2}\S+ {2}12 ms {2}550 {2}it was refused · no such mailbox$/m)
    expect(JSON.parse((await own.run('deliveries', 'show', id, '--json')).out)).toMatchObject({ log: [{ code: 550 }] })

    expect((await own.run('deliveries', 'retry', id)).out).toContain('It is due now.')
    expect(await own.lapse.queues.email.getJob(`${id}-r1`)).toBeDefined()
    expect(await own.run('deliveries', 'retry', id)).toMatchObject({ code: 1, err: expect.stringContaining('pending') })
    expect((await own.run('deliveries', 'cancel', id)).out).toBe('It is cancelled.\n')
    expect(await own.run('deliveries', 'cancel', id)).toMatchObject({
      code: 1,
      err: expect.stringContaining('cancelled'),
    })
    expect(await own.run('deliveries', 'show', 'nonsense')).toMatchObject({
      ...{ code: 1, err: 'There is no delivery with this id.\n' },
    })
    for (const [option, value, said] of [
      ['--status', 'lost', 'Allowed choices'],
      ['--since', 'yesterday', 'how long ago'],
    ] as const)
      expect(await own.run('deliveries', 'list', option, value)).toMatchObject({
        ...{ code: 2, err: expect.stringContaining(said) },
      })
  })

  it('retry-dead tries again all that are meant, and says how many', async () => {
    const own = await stage()
    const [one, two] = [await dead(own), await dead(own)]
    expect((await own.run('deliveries', 'retry-dead', '--channel', 'webhook')).out).toBe('None of them is dead.\n')
    expect((await own.run('deliveries', 'retry-dead', '--resource', one.resource)).out).toBe('1 is due now.\n')
    expect(JSON.parse((await own.run('deliveries', 'retry-dead', '--json')).out)).toEqual({ retried: 1 })
    expect((await own.lapse.deliveries.get(two.id)).status).toBe('pending')
  })
})

describe('lapse webhooks', () => {
  it('list, test, disable, enable, and replay what was missed', async () => {
    const own = await stage()
    expect((await own.run('webhooks', 'list')).out).toBe('There is none.\n')
    const { endpoint, secret } = await own.lapse.webhookEndpoints.create({
      url: 'https://example.com/hooks',
      kinds: ['trial'],
    })
    const { id } = endpoint
    const { out } = await own.run('webhooks', 'list')
    expect(out).toMatch(
      new RegExp(`^${id} {2}enabled {2}https://example.com/hooks {2}of all {2}trial {2}all events\\n$`),
    )
    expect(JSON.parse((await own.run('webhooks', 'list', '--json')).out)).toMatchObject([{ id, status: 'enabled' }])
    expect(out).not.toContain(secret)

    const tested = await own.run('webhooks', 'test', id)
    expect(tested.out).toMatch(/lapse deliveries show \S+$/m)
    expect(await own.lapse.deliveries.list({ target: id })).toMatchObject([{ event: 'lapse.test', status: 'pending' }])
    expect((await own.run('webhooks', 'disable', id, '--reason', 'moves')).out).toBe('It is disabled.\n')
    await own.trial()
    expect((await own.run('webhooks', 'list')).out).toMatch(/ disabled .* moves$/m)
    expect((await own.run('webhooks', 'enable', id)).out).toBe('It is enabled.\n')
    expect((await own.run('webhooks', 'replay', id, '--since', '1h', '--event', 'issued')).out).toBe(
      '1 on their way.\n',
    )
    expect((await own.run('webhooks', 'replay', id, '--since', '1h', '--kind', 'invite')).out).toContain(
      'nothing to send',
    )
    expect(await own.run('webhooks', 'replay', id)).toMatchObject({ code: 2, err: expect.stringContaining('--since') })
    expect(await own.run('webhooks', 'enable', 'nonsense')).toMatchObject({
      ...{ code: 1, err: expect.stringContaining('no webhook endpoint with this id') },
    })
  })
})

describe('lapse sweep, cleanup, forecast', () => {
  it('sweep advances what is due, once, and says how many of what', async () => {
    const own = await stage()
    const [late, other] = [await own.trial(), await own.trial()]
    await own.age(late.id, 9 * day)
    await own.age(other.id, 5 * day + 60)
    const { code, out } = await own.run('sweep')
    expect([code, out]).toEqual([0, expect.stringMatching(/^trial: \d .*expired/)])
    expect((await own.lapse.get(late.id)).status).toBe('expired')
    const [event] = await own.lapse.events({ resourceId: late.id, type: 'expired' })
    expect(event).toMatchObject({ trigger: 'sweep' })
    expect(await own.run('sweep')).toMatchObject({ code: 0, out: 'Nothing was due.\n' })
    expect(JSON.parse((await own.run('sweep', '--json')).out)).toEqual({ advanced: {} })
  })

  it('cleanup removes what is past its retention and says what; then there is nothing', async () => {
    const own = await stage()
    for (let i = 0; i < 3; i++) {
      const { id } = await own.trial()
      await own.lapse.revoke('trial', id)
      await own.sql(`UPDATE delivery SET status = 'cancelled', next_attempt_at = NULL, settled_at = ${nowSql}`)
      await own.age(id, 40 * day)
    }
    expect((await own.run('cleanup', '--limit', '2')).out).toMatch(/^Removed 2 trial\.\nThere is more/)
    expect((await own.run('cleanup')).out).toBe('Removed 1 trial.\n')
    expect(await own.run('cleanup')).toMatchObject({ code: 0, out: 'There was nothing to remove.\n' })
  })

  it('forecast draws how many end when, and what is overdue', async () => {
    const own = await stage()
    for (const expiresIn of ['2d', '2d', '5d']) await own.trial({ expiresIn })
    const late = await own.trial()
    await own.age(late.id, 20 * day)
    const { code, out } = await own.run('forecast', '--by', 'day', '--count', '8')
    expect(code).toBe(0)
    expect(out).toMatch(/^\d{4}-\d\d-\d\d {2}2 {2}█{40} {2}2 trial$/m)
    expect(out).toMatch(/^\d{4}-\d\d-\d\d {2}0$/m)
    expect(out).toMatch(/over and not swept yet: 1 trial/)
    const json = JSON.parse((await own.run('forecast', '--json')).out)
    expect(json).toMatchObject({ bucket: 'hour', overdue: { total: 1 }, buckets: expect.any(Array) })
    expect(json.buckets).toHaveLength(24)
  })
})

describe('lapse migrate', () => {
  it('applies what is pending, from anywhere, and says when there is nothing', async () => {
    const env = { MIGRATE_DATABASE_URL: app.database.ownerUrl }
    const { code, out } = await runIn(tmpdir(), env, 'migrate')
    expect([code, out]).toEqual([0, 'Nothing to apply: up to date.\n'])
    const [{ name } = { name: '' }] = await app.sql<{ name: string }>('SELECT current_database() AS name')
    const refused = await runIn(
      tmpdir(),
      { MIGRATE_DATABASE_URL: env.MIGRATE_DATABASE_URL.replace(name, 'nowhere') },
      'migrate',
    )
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('nowhere')])
  })
})
