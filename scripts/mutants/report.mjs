import { cpus, totalmem } from 'node:os'

/** For the terminal, with what the test said: whether it is the right reason is for people to judge. */
export const inShort = ({ name }, { failed, reason, passed, problem }) => {
  if (failed) return `caught    ${name}: ${failed}\n            ${reason}`
  return passed ? `survived  ${name}` : `PROBLEM   ${name}: ${problem}`
}

/**
 * What the outcomes come to. A guard that has a second one behind it may survive: what counts is that taking both away is
 * caught.
 */
export const judge = (results) => {
  const caught = new Set(results.filter(({ outcome }) => outcome.failed).map(({ mutant }) => mutant.name))
  return results.map(({ mutant, outcome }) => {
    const { redundant } = mutant
    if (outcome.failed) return { mutant, ok: true, words: outcome.failed }
    if (outcome.problem) return { mutant, ok: false, words: outcome.problem }
    if (redundant === undefined) return { mutant, ok: false, words: 'survived' }
    const ok = caught.has(redundant)
    return { mutant, ok, words: ok ? `redundant: see \`${redundant}\`` : `survived, and so did ${redundant}` }
  })
}

export const asMarkdown = (verdicts) => {
  const areas = [...new Set(verdicts.map(({ mutant }) => mutant.area))]
  const tables = areas.map((area) => {
    const rows = verdicts.filter(({ mutant }) => mutant.area === area).map(rowOf)
    return `\n## ${area}\n\n| guard | mutant | caught by |\n|---|---|---|\n${rows.join('\n')}\n`
  })
  return introduction(verdicts) + tables.join('')
}

const rowOf = ({ mutant, ok, words }) => {
  const [file, ...names] = words.split(' > ')
  const cell = names.length > 0 ? `${names.at(-1)} (\`${file}\`)` : words.split('\n')[0]
  return `| ${cellOf(mutant.guard)} | \`${mutant.name}\` | ${ok ? '' : '**NOT CAUGHT** '}${cellOf(cell)} |`
}

const cellOf = (text) => text.replaceAll('|', '\\|')

const introduction = (verdicts) => {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`
  const caught = verdicts.filter(({ ok, words }) => ok && !words.startsWith('redundant')).length
  const redundant = verdicts.filter(({ ok, words }) => ok && words.startsWith('redundant')).length
  const missed = verdicts.length - caught - redundant
  return `# The checker is checked

Every guard that a promise stands on is taken away in turn, and a test has to notice. Each row below is one guard, the name
of the mutant that lacks it, and the test that failed without it.

\`\`\`
npm run mutants                          # all of them; writes this page
npm run mutants -- lock seats            # those with one of these words in their name
npm run mutants -- --list                # what there is
npm run mutants -- --at-once 2           # two at a time; one for each two cores unless said otherwise
\`\`\`

Each mutant is an exact replacement of text, in a copy of the repository under the system's temporary folder with a PostgreSQL
and a Redis of its own. What has to be built is built, a changed migration makes a new database, the tests named for the
mutant are run, and the first that fails has caught it. The same tests have to pass without any mutant first. What fails
outside of a test, or does not compile, counts as not caught. A guard is called redundant when another one stands behind it on
purpose; then the mutant that takes all of them away has to be caught. The command ends with exit code 1 when one survives.
That every text is still found, exactly once, is a test of its own (\`scripts/test/mutants.unit.test.ts\`), so that the table
cannot rot.

${new Date().toISOString().slice(0, 10)}, ${machine}: of ${verdicts.length} mutants ${caught} were caught, ${redundant} are redundant by design, ${missed} survived.
`
}
