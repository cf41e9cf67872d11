// All tests, on services of their own. What follows `npm test --` goes to vitest, but for `--times=50`: so often, one after
// the other, to find what fails seldom.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from './build.mjs'
import { generate } from './generate.mjs'
import { install } from './install.mjs'
import { atEnd, command, run } from './lifetime.mjs'
import { root } from './root.mjs'
import { findChromium } from './services/chromium.mjs'
import { migrate, testEnvironment } from './services/for-tests.mjs'
import { privateServices } from './services/private.mjs'

process.chdir(root)

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
  await migrate(services.postgres, root)

  const isTimes = (arg) => arg.startsWith('--times=')
  const own = process.argv.slice(2)
  const times = Number(own.find(isTimes)?.split('=')[1] ?? 1)
  const report = join(services.folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...own.filter((arg) => !isTimes(arg))]
  const sum = { passed: 0, failed: 0, skipped: 0 }
  let code = 0
  for (let i = 0; i < times; i++) {
    rmSync(report, { force: true })
    const ended = await run(process.execPath, vitest, { env: testEnvironment(services, chromium) })
    code ||= ended
    const counts = existsSync(report) ? count(report) : { passed: 0, failed: 0, skipped: 0 }
    for (const key of Object.keys(sum)) sum[key] += counts[key]
  }
  const { passed, failed, skipped } = sum
  if (passed + failed === 0) console.error('No test was run.')
  else if (code !== 0 && failed === 0)
    console.error(`vitest failed outside of the tests (exit code ${code}); see above.`)
  const built = await compiled
  if (!built) console.error('The build failed; see the beginning.')
  const failures = failed || (code === 0 && built ? 0 : 1)
  summary = `${passed} passed, ${failures} failed${skipped ? `, ${skipped} skipped` : ''}`
  return failures > 0 || passed === 0 ? 1 : 0
})
