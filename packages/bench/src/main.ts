import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { burst } from './lines/burst.ts'
import { check } from './lines/check.ts'
import { denial } from './lines/denial.ts'
import { grants } from './lines/grants.ts'
import { horizon } from './lines/horizon.ts'
import { issue } from './lines/issue.ts'
import { lateness } from './lines/lateness.ts'
import { mass } from './lines/mass.ts'
import { memory } from './lines/memory.ts'
import { peers } from './lines/peers.ts'
import { scale } from './lines/scale.ts'
import { sweep } from './lines/sweep.ts'
import { verify } from './lines/verify.ts'
import { machineFacts } from './machine.ts'
import type { Figure, Line, Observed, Table } from './measure.ts'
import { neighbourNames, neighbours } from './neighbours/index.ts'
import { sideNames } from './peers/side.ts'
import { asMarkdown, asText, tablesOf } from './table.ts'

const lines: Record<string, Line> = { burst, lateness, issue, check, verify, sweep, memory, denial, grants, mass }

/** Only when they are named: they take long, and `peers` needs other packages. */
const named: Record<string, Line> = { peers, horizon, scale, neighbours }

const help = `npm run bench -- [burst issue …] [--quick] [--only burst,issue] [--markdown]

  --quick      smaller numbers and fewer rounds: about three minutes
  --only       some of the lines, as naming them alone does: ${Object.keys(lines).join(', ')}
  --markdown   prints the table as Markdown

  peers        what one would build with instead, beside Lapse; only when it is named. It installs packages of its own
  --sides      some of them: ${sideNames.join(', ')}
  --ends       how many end in the same instant
  --pending    how many are pending meanwhile, 5000 or more, such as 10000,100000

  horizon      five million pending resources, of which Redis holds the next day's; only when it is named
  scale        several workers and several APIs side by side; only when it is named

  neighbours   what a quiet one notices of a noisy one; only when it is named
  --only       some of them: ${neighbourNames.join(', ')}

Exits with 1 when something was lost, early, doubled or answered otherwise than it must be, or when a bound of \`neighbours\`
does not hold; never because of speed otherwise.`

const results = fileURLToPath(new URL('../../../bench-results', import.meta.url))

const lineOf = (name: string): Line | undefined => lines[name] ?? named[name]

const main = async (): Promise<number> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      sides: { type: 'string' },
      ends: { type: 'string' },
      pending: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const only = values.only?.split(',')
  const isOfNeighbours = positionals.includes('neighbours')
  const some = [...positionals, ...((!isOfNeighbours && only) || [])]
  const names = some.length > 0 ? some : Object.keys(lines)
  const settings = {
    quick: values.quick,
    sides: values.sides?.split(','),
    ends: values.ends ? Number(values.ends) : undefined,
    pending: values.pending?.split(',').map(Number),
    neighbours: isOfNeighbours ? only : undefined,
  }
  // So many are issued before anything is measured.
  const areEnough = (settings.pending ?? []).every((n) => n >= 5_000)
  const numbers = [settings.ends ?? 1, ...(settings.pending ?? [])]
  const isKnown =
    names.every(lineOf) &&
    (settings.sides ?? []).every((side) => sideNames.includes(side)) &&
    (settings.neighbours ?? []).every((name) => neighbourNames.includes(name))
  if (values.help || !isKnown || !areEnough || !numbers.every((n) => Number.isInteger(n) && n > 0)) {
    console.log(help)
    return values.help ? 0 : 2
  }
  const facts = await machineFacts()
  const figures: Figure[] = []
  const observed: Observed[] = []
  const problems: string[] = []
  const tables: Table[] = []
  const details: Record<string, unknown> = {}
  for (const name of names) {
    process.stderr.write(`${name} … `)
    const start = performance.now()
    const result = await lineOf(name)?.(settings)
    figures.push(...(result?.figures ?? []))
    observed.push(...(result?.observed ?? []))
    problems.push(...(result?.problems ?? []))
    tables.push(...(result?.tables ?? []))
    if (result?.details) details[name] = result.details
    process.stderr.write(`${((performance.now() - start) / 1000).toFixed(0)} s\n`)
  }
  mkdirSync(results, { recursive: true })
  const file = join(results, `${facts.date.slice(0, 19).replaceAll(':', '-')}.json`)
  writeFileSync(
    file,
    `${JSON.stringify({ ...facts, quick: values.quick, figures, observed, details, problems }, null, 2)}\n`,
  )
  console.log(`\n${(values.markdown ? asMarkdown : asText)(facts, [...tablesOf(figures, observed), ...tables])}\n`)
  for (const problem of problems) console.error(`WRONG  ${problem}`)
  if (problems.length === 0) console.log('Nothing was lost, early, doubled, answered otherwise or held up by another.')
  return problems.length === 0 ? 0 : 1
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof TypeError && 'code' in error ? error.message : error)
    process.exit(1)
  },
)
