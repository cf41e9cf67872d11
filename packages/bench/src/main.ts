import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { burst } from './lines/burst.ts'
import { check } from './lines/check.ts'
import { denial } from './lines/denial.ts'
import { grants } from './lines/grants.ts'
import { issue } from './lines/issue.ts'
import { lateness } from './lines/lateness.ts'
import { mass } from './lines/mass.ts'
import { memory } from './lines/memory.ts'
import { sweep } from './lines/sweep.ts'
import { verify } from './lines/verify.ts'
import { machineFacts } from './machine.ts'
import type { Figure, Line, Observed } from './measure.ts'
import { asMarkdown, asText } from './table.ts'

const lines: Record<string, Line> = { burst, lateness, issue, check, verify, sweep, memory, denial, grants, mass }

const help = `npm run bench -- [burst issue …] [--quick] [--only burst,issue] [--markdown]

  --quick      smaller numbers and fewer rounds, within a minute
  --only       some of the lines, as naming them alone does: ${Object.keys(lines).join(', ')}
  --markdown   prints the table as Markdown

Exits with 1 when something was lost, early, doubled or answered otherwise than it must be; never because of speed.`

const results = fileURLToPath(new URL('../../../bench-results', import.meta.url))

const main = async (): Promise<number> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const some = [...positionals, ...(values.only?.split(',') ?? [])]
  const names = some.length > 0 ? some : Object.keys(lines)
  if (values.help || names.some((name) => !lines[name])) {
    console.log(help)
    return values.help ? 0 : 2
  }
  const facts = await machineFacts()
  const figures: Figure[] = []
  const observed: Observed[] = []
  const problems: string[] = []
  for (const name of names) {
    process.stderr.write(`${name} … `)
    const start = performance.now()
    const result = await lines[name]?.({ quick: values.quick })
    figures.push(...(result?.figures ?? []))
    observed.push(...(result?.observed ?? []))
    problems.push(...(result?.problems ?? []))
    process.stderr.write(`${((performance.now() - start) / 1000).toFixed(0)} s\n`)
  }
  mkdirSync(results, { recursive: true })
  const file = join(results, `${facts.date.slice(0, 19).replaceAll(':', '-')}.json`)
  writeFileSync(file, `${JSON.stringify({ ...facts, quick: values.quick, figures, observed, problems }, null, 2)}\n`)
  console.log(`\n${(values.markdown ? asMarkdown : asText)(facts, figures, observed)}\n`)
  for (const problem of problems) console.error(`WRONG  ${problem}`)
  if (problems.length === 0) console.log('Nothing was lost, early, doubled or answered otherwise.')
  return problems.length === 0 ? 0 : 1
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof TypeError && 'code' in error ? error.message : error)
    process.exit(1)
  },
)
