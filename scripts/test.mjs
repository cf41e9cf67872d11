// All tests, on services of their own. What follows `npm test --` goes to vitest.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from './build.mjs'
import { generate } from './generate.mjs'
import { install } from './install.mjs'
import { atEnd, command, must, run } from './lifetime.mjs'
import { root } from './root.mjs'
import { findChromium } from './services/chromium.mjs'
import { cleanEnvironment, privateServices } from './services/private.mjs'

process.chdir(root)

/** What packages/testkit reads. */
const testEnvironment = ({ folder, postgres, redis, server }, chromium) => ({
  ...cleanEnvironment(),
  // What an interrupted test leaves there goes with the services.
  TMPDIR: folder,
  LAPSE_TEST_OWNER_URL: postgres.ownerUrl,
  LAPSE_TEST_APP_URL: postgres.appUrl,
  LAPSE_TEST_POSTGRES_LOG: postgres.log,
  LAPSE_TEST_REDIS_URL: redis.url,
  LAPSE_REDIS_SERVER: server.program,
  LAPSE_REDIS_LIB: server.libraries,
  LAPSE_TEST_CHROMIUM: chromium ? JSON.stringify(chromium) : '',
})

/** Counts what was really run; a file that failed outside of its tests counts as one failure. */
const count = (report) => {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const { status, assertionResults } of testResults) {
    for (const test of assertionResults) counts[test.status in counts ? test.status : 'skipped'] += 1
    if (status === 'failed' && !assertionResults.some((test) => test.status === 'failed')) counts.failed += 1
  }
  return counts
}

await command(async () => {
  let summary = ''
  // The first to be registered is the last to be done: the counts end the output.
  atEnd(() => summary && console.log(summary))
  // The slowest of the preparations where it has to be fetched, and it needs nothing that is installed here.
  const finding = findChromium(join(root, '.data/chromium'))
  finding.catch(() => {})
  await install()
  const building = generate().then(() => build())
  // The tests read the sources, so most of them still have something to say when another package does not compile.
  const compiled = building.then(
    () => true,
    (error) => console.error(error.message),
  )
  const [services, chromium] = await Promise.all([privateServices({ durable: false }), finding, compiled])
  const { postgres, folder } = services
  const migration = { MIGRATE_DATABASE_URL: postgres.ownerUrl, LAPSE_APP_ROLE: postgres.appRole }
  await must('migrate', process.execPath, ['scripts/migrate.mjs', 'deploy'], {
    env: { ...cleanEnvironment(), ...migration },
  })

  const report = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const code = await run(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...process.argv.slice(2)],
    { env: testEnvironment(services, chromium) },
  )
  const { passed, failed, skipped } = existsSync(report) ? count(report) : { passed: 0, failed: 0, skipped: 0 }
  if (passed + failed === 0) console.error('No test was run.')
  else if (code !== 0 && failed === 0)
    console.error(`vitest failed outside of the tests (exit code ${code}); see above.`)
  const built = await compiled
  if (!built) console.error('The build failed; see the beginning.')
  const failures = failed || (code === 0 && built ? 0 : 1)
  summary = `${passed} passed, ${failures} failed${skipped ? `, ${skipped} skipped` : ''}`
  return failures > 0 || passed === 0 ? 1 : 0
})
