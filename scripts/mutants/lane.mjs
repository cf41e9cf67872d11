import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must, run, tail } from '../lifetime.mjs'
import { migrate, testEnvironment } from '../services/for-tests.mjs'
import { copyRepository } from './copy.mjs'

/** A mutant may hang; nothing that is well takes so long. */
const limitMs = 20 * 60_000

/** How often a text stands in another. */
export const countOf = (text, find) => text.split(find).length - 1

/** A copy of the repository in which one mutant after the other lives, and the tests that look for them. */
export class Lane {
  #services
  #path

  constructor(services, from, path) {
    copyRepository(from, path)
    this.#services = services
    this.#path = path
  }

  get path() {
    return this.#path
  }

  /** Answers the tests' outcome without the mutant's guard; then that is back. */
  async tryOut({ name, changes, test }) {
    const before = new Map()
    try {
      for (const { file, find, put } of changes) {
        const path = join(this.#path, file)
        const text = readFileSync(path, 'utf8')
        if (countOf(text, find) !== 1)
          throw new Error(`${file} has not once, but ${countOf(text, find)} times:\n${find}`)
        if (!before.has(path)) before.set(path, text)
        writeFileSync(
          path,
          text.replace(find, () => put),
        )
      }
      const migrates = changes.some(({ file }) => file.startsWith('prisma/'))
      const postgres = migrates ? await this.#database(`mutant_${name.replaceAll('-', '_')}`) : this.#services.postgres
      // Tests of a package read its sources; those of the applications start what was built of them.
      if (!test.file.startsWith('packages/')) await this.build()
      return await this.run([test], { postgres })
    } catch (error) {
      return { problem: error.message }
    } finally {
      for (const [path, text] of before) writeFileSync(path, text)
    }
  }

  /**
   * Runs these tests, by their names or else whole files, until the first fails. What fails outside of a test says nothing of
   * a guard: it is a `problem`.
   */
  async run(tests, { postgres = this.#services.postgres, retry = 0 } = {}) {
    const report = join(this.#path, 'report.json')
    rmSync(report, { force: true })
    const names = new Set(tests.map(({ name }) => name?.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')))
    const only = names.has(undefined) ? [] : ['-t', [...names].join('|')]
    const files = [...new Set(tests.map(({ file }) => file))]
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const args = ['run', ...reporters, ...files, '--bail', '1', '--retry', String(retry), ...only]
    const log = join(this.#path, 'tests.log')
    rmSync(log, { force: true })
    await run(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], {
      ...{ cwd: this.#path, env: testEnvironment({ ...this.#services, postgres }), log },
      timeout: limitMs,
    })
    const outcome = existsSync(report) ? outcomeOf(JSON.parse(readFileSync(report, 'utf8')), this.#path) : {}
    return outcome.failed || outcome.passed ? outcome : { problem: `no test has said anything:\n${tail(log, 40)}` }
  }

  build() {
    return must('build', process.execPath, ['node_modules/typescript/bin/tsc', '-b'], { cwd: this.#path })
  }

  /** Another one, migrated by the mutant. */
  async #database(name) {
    const { postgres } = this.#services
    const at = (url) => Object.assign(new URL(url), { pathname: name }).href
    const { default: pg } = await import('pg')
    const client = new pg.Client({
      connectionString: Object.assign(new URL(postgres.ownerUrl), { pathname: 'postgres' }).href,
    })
    await client.connect()
    await client.query(`CREATE DATABASE ${name}`)
    await client.end()
    const own = { ...postgres, ownerUrl: at(postgres.ownerUrl), appUrl: at(postgres.appUrl) }
    await migrate(own, this.#path)
    return own
  }
}

const outcomeOf = ({ testResults }, path) => {
  const all = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ status, ancestorTitles, title, failureMessages: [reason = ''] }) => ({
      ...{ status, reason },
      words: [name.replace(`${path}/`, ''), ...ancestorTitles, title].join(' > '),
    })),
  )
  const failed = all.find(({ status }) => status === 'failed')
  if (failed) return { failed: failed.words, reason: failed.reason.split('\n')[0].slice(0, 160) }
  // A file that failed outside of its tests has not shown that they pass.
  const broken = testResults.some(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  return broken ? {} : { passed: all.filter(({ status }) => status === 'passed').length }
}
