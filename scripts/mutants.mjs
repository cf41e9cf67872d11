// Takes each guard away in turn, in a copy of the repository, and looks whether a test notices.
//
//   npm run mutants                      all of them; writes docs/mutants.md
//   npm run mutants -- lock seats        those with one of these words in their name
//   npm run mutants -- --list            what there is
//   npm run mutants -- --at-once 2       two at a time; one for each two cores unless said otherwise
import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { install } from './install.mjs'
import { command, failure, must } from './lifetime.mjs'
import { mutants } from './mutants/all.mjs'
import { Lane } from './mutants/lane.mjs'
import { asMarkdown, inShort, judge } from './mutants/report.mjs'
import { root } from './root.mjs'
import { migrate } from './services/for-tests.mjs'
import { privateServices } from './services/private.mjs'

/** Those with one of these words in their name; the others that they are redundant with come along. */
const chosen = (words) => {
  if (words.length === 0) return mutants
  const named = mutants.filter(({ name }) => words.some((word) => name.includes(word)))
  if (named.length === 0)
    throw failure(`No mutant has ${words.join(' or ')} in its name. See: npm run mutants -- --list`)
  const both = new Set(named.map((mutant) => mutant.redundant))
  return mutants.filter((mutant) => named.includes(mutant) || both.has(mutant.name))
}

await command(async () => {
  const { values, positionals } = parseArgs({
    options: { list: { type: 'boolean' }, 'at-once': { type: 'string' } },
    allowPositionals: true,
  })
  const wanted = chosen(positionals)
  if (values.list) return void console.log(wanted.map(({ name, guard }) => `${name.padEnd(32)} ${guard}`).join('\n'))
  const atOnce = Number(values['at-once'] ?? Math.max(1, Math.floor(availableParallelism() / 2)))
  if (!(atOnce >= 1)) throw failure('--at-once takes a number from 1 on.')

  process.chdir(root)
  await install()
  const services = await privateServices({ durable: false })
  // What is edited here meanwhile is none of their business.
  const whole = new Lane(services, root, join(services.folder, 'whole'))
  await must('generate', process.execPath, ['scripts/generate.mjs'], { cwd: whole.path })
  await whole.build()
  await migrate(services.postgres, whole.path)
  console.log(`Without any mutant: the tests of ${wanted.length} …`)
  const tests = wanted.map(({ test }) => test)
  for (const some of [tests.filter(({ name }) => name), tests.filter(({ name }) => !name)]) {
    const { failed, problem } = some.length > 0 ? await whole.run(some, { retry: 2 }) : {}
    if (failed ?? problem) throw failure(`They do not pass as they are: ${failed ?? problem}`)
  }

  const results = []
  const waiting = [...wanted]
  const work = async (number) => {
    const lane = new Lane(services, whole.path, join(services.folder, `lane-${number}`))
    for (let mutant = waiting.shift(); mutant; mutant = waiting.shift()) {
      const outcome = await lane.tryOut(mutant)
      console.log(inShort(mutant, outcome))
      results.push({ mutant, outcome })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, (_, i) => work(i + 1)))
  results.sort((a, b) => wanted.indexOf(a.mutant) - wanted.indexOf(b.mutant))
  const verdicts = judge(results)
  if (positionals.length === 0) {
    writeFileSync(join(root, 'docs/mutants.md'), asMarkdown(verdicts))
    console.log('docs/mutants.md is written.')
  }
  const bad = verdicts.filter(({ ok }) => !ok)
  for (const { mutant, words } of bad) console.log(`NOT CAUGHT  ${mutant.name}: ${words}`)
  console.log(`${verdicts.length - bad.length} of ${verdicts.length} are caught, or redundant by design.`)
  return bad.length > 0 ? 1 : 0
})
