import type { Violation } from './checker/case.ts'
import { ruleNames } from './checker/check.ts'
import type { Form } from './form.ts'
import { groupBy } from './group.ts'
import type { History } from './history.ts'

const shown = 5

/** The summary, and the story of whatever went wrong. */
export const printVerdict = (
  form: Form,
  history: History,
  violations: readonly Violation[],
  { file, requests, dropped }: { file: string; requests: number; dropped: number },
): void => {
  const { lives, operations, arrivals, faults, final, uncertaintyMs } = history
  const count = <T>(items: readonly T[], keyOf: (item: T) => string) =>
    [...groupBy(items, keyOf)].map(([key, some]) => `${some.length} ${key}`).join(', ')
  console.log(`
seed ${form.seed}: ${lives.length} lives, ${operations.length} operations in ${requests} requests, ${dropped} without an answer
  ${count(operations, ({ answer }) => answer.is)}
  ${count(lives, ({ kind }) => kind)}
  ${final.events.length} events, ${final.deliveries.length} deliveries, ${arrivals.length} arrivals
  ${history.serverErrors.length} answers of 500 or more; the clock is known to ${uncertaintyMs.toFixed(1)} ms
faults: ${faults.length === 0 ? 'none' : ''}
${[...groupBy(faults, ({ name }) => name)].map(([name, some]) => `  ${some.length} × ${name}`).join('\n')}
rules:`)
  const byRule = groupBy(violations, ({ rule }) => rule)
  for (const rule of ruleNames) {
    const some = byRule.get(rule)
    console.log(`  ${some ? `VIOLATED ${some.length} times` : 'holds'.padEnd(8)}  ${rule}`)
  }
  for (const [rule, some] of byRule)
    for (const { life, what } of some.slice(0, shown)) {
      console.log(`\n${rule}${life ? ` by ${life}` : ''}: ${what}`)
      if (life) console.log(storyOf(life, history))
    }
  console.log(`\nThe history is in ${file}.`)
  console.log(violations.length === 0 ? 'Every rule holds.' : `VIOLATED: ${[...byRule.keys()].join(', ')}`)
}

/** Everything that is known of one life, in the order of time. */
const storyOf = (name: string, { lives, operations, arrivals, faults, final }: History): string => {
  const ids = new Set(final.resources.filter(({ life }) => life === name).map(({ id }) => id))
  const { id } = lives.find((life) => life.name === name) ?? {}
  if (id) ids.add(id)
  const lines = [
    ...operations
      .filter(({ life }) => life === name)
      .map(({ verb, start, end, answer, lifeMs }) => ({
        at: start,
        text: `${verb}${lifeMs ? ` for ${lifeMs} ms` : ''}, until ${time(end)}: ${JSON.stringify(answer)}`,
      })),
    ...final.events
      .filter(({ resourceId }) => ids.has(resourceId))
      .map(({ at, type, id, version, trigger, latenessMs }) => ({
        at,
        text: `  event ${id} ${type} v${version} by ${trigger}, late by ${latenessMs} ms`,
      })),
    ...arrivals
      .filter(({ whose }) => whose === name || ids.has(whose))
      .map(({ at, channel, type, key, accepted }) => ({
        at,
        text: `    ${channel} of ${type} ${key} ${accepted ? 'taken' : 'not taken'}`,
      })),
  ].toSorted((a, b) => a.at - b.at)
  const [from, to] = [lines[0]?.at ?? 0, lines.at(-1)?.at ?? 0]
  const during = faults
    .filter(({ start, end }) => start <= to && end >= from)
    .map(({ name, start, end }) => ({ at: start, text: `      fault: ${name}, until ${time(end)}` }))
  const told = [...lines, ...during].toSorted((a, b) => a.at - b.at).map(({ at, text }) => `  ${time(at)} ${text}`)
  const ledger = final.deliveries
    .filter(({ resourceId }) => resourceId !== null && ids.has(resourceId))
    .map(({ id, channel, event, status }) => `  ledger: ${channel} of ${event} ${id} ${status}`)
  return [...told, ...ledger].join('\n')
}

const time = (at: number) => new Date(at).toISOString().slice(11, 23)
