// An upgrade under load, on services of its own: a million resources (--rows N, --quick 50,000), issue and check every
// 20 ms, the migrations of a made-up next version in the middle of it, and old and new processes side by side. The old
// version is what is built here, or, with --from <commit>, what was built then.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { build } from './build.mjs'
import { generate } from './generate.mjs'
import { install } from './install.mjs'
import { atEnd, command, failure } from './lifetime.mjs'
import { root } from './root.mjs'
import { until } from './services/network.mjs'
import { cleanEnvironment, privateServices } from './services/private.mjs'
import { careless, migrationsAt, migrationsOf, next } from './upgrade/migrations.mjs'
import { startTraffic } from './upgrade/traffic.mjs'
import { nextVersion, startApp, versionAt } from './upgrade/versions.mjs'

const LONGEST_MS = 1_000

const options = { rows: { type: 'string' }, quick: { type: 'boolean' }, from: { type: 'string' } }

const readArgs = () => {
  try {
    const { values } = parseArgs({ options })
    return { from: values.from, rows: values.quick ? 50_000 : Number(values.rows ?? 1_000_000) }
  } catch (error) {
    throw failure(`${error.message}. There are: --rows <number>, --quick, --from <commit>`)
  }
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`

const FILL = `
  WITH made AS (INSERT INTO resource (id, kind, subject, payload, issued_at, changed_at, expires_at, ends_at, reminders, due_at, next_step)
    SELECT lapse_uuidv7(), 'trial', 'user:' || i, '{"email": "somebody@example.com"}', at, at, ends, ends, '{}', ends, 'expire'
    FROM generate_series(1, $1::int) AS i,
      LATERAL (SELECT date_trunc('milliseconds', clock_timestamp()) AS at, clock_timestamp() + interval '1 day' + i * interval '2 seconds' AS ends) AS t
    RETURNING id, issued_at AS at)
  INSERT INTO event (resource_id, kind, type, version, at, to_status, trigger) SELECT id, 'trial', 'issued', 1, at, 'active', 'manual' FROM made`

/** A transaction that goes on and on: no change of the table gets past it. */
const holdTable = async (connectionString, ms) => {
  const holder = new pg.Client({ connectionString })
  holder.on('error', () => {})
  await holder.connect()
  await holder.query('BEGIN')
  await holder.query('SELECT FROM resource LIMIT 1 FOR UPDATE')
  await sleep(ms)
  await holder.end()
}

/** How many steps this worker has taken. */
const stepsOf = async (url) => {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const counts = metrics.matchAll(/^lapse_transitions_total\{.*\} (\d+)/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

/** Whatever is due has been advanced, and has one event that says so. */
const missed = async (owner) => {
  const due = `SELECT count(*)::int AS n FROM resource WHERE next_step <> 'purge' AND due_at < clock_timestamp() - interval '2 seconds'`
  const left = async () => (await owner.query(due)).rows[0].n
  if (!(await until(async () => (await left()) === 0, 20_000))) return [`${await left()} have not been advanced`]
  const { rows } =
    await owner.query(`SELECT count(*)::int AS n FROM resource r WHERE expires_at < clock_timestamp() - interval '5 seconds'
    AND (SELECT count(*) FROM event e WHERE e.resource_id = r.id AND e.type = 'grace') <> 1`)
  return rows[0].n > 0 ? [`${rows[0].n} have reached their end without an event, or with several`] : []
}

await command(async () => {
  const { from, rows } = readArgs()
  if (!(Number.isInteger(rows) && rows > 0))
    throw failure('--rows takes a whole number: npm run upgrade -- --rows 200000')
  process.chdir(root)
  await install()
  const compiled = generate().then(() => build('apps/api', 'apps/worker'))
  const [{ postgres, redis, folder }] = await Promise.all([privateServices({ durable: true }), compiled])
  const before = from === undefined ? root : await versionAt(join(folder, 'from'), from)
  const migrations = migrationsAt(folder, postgres.ownerUrl, postgres.appRole)
  const owner = new pg.Client({ connectionString: postgres.ownerUrl })
  owner.on('error', () => {})
  await owner.connect()
  atEnd(() => owner.end())

  console.log(`${rows.toLocaleString('en')} resources and events, on a machine as it is.\n`)
  const [first, ...later] = migrationsOf(before)
  migrations.add(first)
  const empty = await migrations.deploy()
  await owner.query(FILL, [rows])
  await owner.query('VACUUM (ANALYZE)')
  console.log('Migrations that were written before the rules: writers wait all the while.')
  for (const name of later) {
    migrations.add(name)
    const ms = await migrations.deploy()
    console.log(`  ${name.padEnd(32)} ${seconds(ms)}, of which some ${seconds(empty)} are the start of the program`)
  }

  const token = randomBytes(24).toString('hex')
  const env = {
    ...cleanEnvironment(),
    ...{ DATABASE_URL: postgres.appUrl, REDIS_URL: redis.url, LAPSE_ROOT_TOKEN: token, LAPSE_HORIZON_HOURS: '24' },
    LAPSE_SECRET: randomBytes(24).toString('hex'),
  }
  const start = (app, version, name) => startApp(app, version, env, join(folder, `${name}-${app}.log`))
  const old = { api: await start('api', before, 'old'), worker: await start('worker', before, 'old') }
  const apis = [old.api.url]
  const traffic = startTraffic(apis, token)
  const during = async (what, act) => {
    const since = performance.now()
    const errors = traffic.errors.length
    await act()
    await traffic.settled()
    const [issue, check] = ['issue', 'check'].map((one) => traffic.measured(one, since))
    const told = ({ median, p99, longest }) =>
      `${median.toFixed(0)} / ${p99.toFixed(0)} / ${longest.toFixed(0)} ms`.padEnd(22)
    console.log(
      `  ${what.padEnd(46)} ${seconds(performance.now() - since).padStart(7)}   issue ${told(issue)} check ${told(check)} errors ${traffic.errors.length - errors}`,
    )
    return Math.max(issue.longest, check.longest)
  }

  if (from !== undefined) console.log(`\nThe old version is ${from}.`)
  console.log('\nThe next version, by the rules. Issue and check every 20 ms: median / p99 / longest.')
  await sleep(3_000)
  await during('before', () => sleep(5_000))
  const pauses = []
  const since = migrationsOf(root).filter((name) => name !== first && !later.includes(name))
  for (const [i, name] of [...since, ...Object.keys(next)].entries()) {
    if (name in next) migrations.write(name, next[name])
    else migrations.add(name)
    const holder = i === 0 && holdTable(postgres.ownerUrl, 4_000)
    pauses.push(await during(`${name}${holder ? ', behind a long transaction' : ''}`, () => migrations.deploy()))
    await holder
  }
  const version = nextVersion(join(folder, 'next'), Object.keys(next).at(-1))
  const fresh = {}
  await during('the new version starts beside the old', async () => {
    fresh.api = await start('api', version, 'new')
    fresh.worker = await start('worker', version, 'new')
    apis.push(fresh.api.url)
    await sleep(6_000)
  })
  const worked = await Promise.all([old, fresh].map(({ worker }) => stepsOf(worker.url)))
  await during('the old version stops', async () => {
    apis.shift()
    await sleep(100)
    await Promise.all([old.api.stop(), old.worker.stop()])
    await sleep(3_000)
  })
  console.log(`  steps taken by the old worker: ${worked[0]}; by the new one beside it: ${worked[1]}`)
  const problems = [...new Set(traffic.errors)]
  const longest = Math.max(...pauses)
  console.log(
    `  longest pause while migrating: ${longest.toFixed(0)} ms; at most ${LONGEST_MS} ms is promised: ${longest <= LONGEST_MS ? 'kept' : 'MISSED'}`,
  )
  if (longest > LONGEST_MS) problems.push('a pause was too long')
  if (worked.includes(0)) problems.push('one of the workers did nothing')

  console.log('\nThe same in one careless migration, for comparison.')
  await during('careless', () => owner.query(careless))
  await traffic.stop()
  problems.push(...(await missed(owner)))
  if (problems.length > 0) throw failure(`\n${problems.join('\n')}`)
  const asked = traffic.measured('issue').count + traffic.measured('check').count
  console.log(`\n${asked} requests: none failed, and everything that was due happened once.`)
})
