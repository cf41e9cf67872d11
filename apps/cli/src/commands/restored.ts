import type { Command } from 'commander'
import { type Lapse, LapseError, type Restored, spanOf } from 'lapse'
import { codes, Failure } from '../failure.ts'
import { note, paint, print, printJson, table } from '../output.ts'
import { requireRedis, withLapse } from '../services.ts'

interface Options {
  readonly revoke?: true
  readonly kind?: string
  readonly done?: true
  readonly json?: true
}

const reason = 'It had ended before PostgreSQL was restored from a backup.'

/** What a worker does within a sweep, for a time when none runs. */
const recognize = async (lapse: Lapse): Promise<void> => {
  const engine = lapse.engine({ onError: (error) => note(`put off: ${(error as Error).message}`) })
  if (await engine.recognizeRestore()) await engine.lookAhead()
}

/** Ends again what had ended. What the clock or somebody else has ended meanwhile stays as it is. */
const revoke = async (lapse: Lapse, { resources }: Restored): Promise<number> => {
  let revoked = 0
  for (const { id, kind, was, live } of resources) {
    if (was !== 'ended' || !live) continue
    try {
      await lapse.revoke(kind, id, { reason })
      revoked += 1
    } catch (error) {
      if (!(error instanceof LapseError)) throw error
      print(`${kind} ${id} was not revoked: ${error.message}`)
    }
  }
  return revoked
}

const report = (restored: Restored): string => {
  const { resources } = restored
  const count = (was: string) => resources.filter((one) => one.was === was).length
  const rows = resources.map(({ id, kind, was, status, reference, subject }) => [
    id,
    kind,
    was === 'ended' ? 'had ended' : 'had been renewed',
    `is ${status}`,
    reference ?? subject ?? '',
  ])
  return [
    `PostgreSQL has nothing of what happened between ${spanOf(restored)}.`,
    `By the timers in Redis ${count('ended')} had ended in that time, and ${count('renewed')} had been renewed.`,
    ...(rows.length > 0 ? [paint('dim', table(rows, '  '))] : []),
    'What had ended can be used again: "lapse restored --revoke" ends it. What had been renewed ends at its earlier end:',
    'renew it, or let it. When all is seen to: "lapse restored --done".',
  ].join('\n')
}

export const restored = (program: Command): void => {
  program
    .command('restored')
    .description(
      'Say what a restore of PostgreSQL from a backup has lost, as far as Redis knows, and end what is live again.',
    )
    .option('--revoke', 'revoke what had ended and is live again')
    .option('--kind <kind>', 'only of this kind')
    .option('--done', 'all is seen to: clear the alert')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
Run it after a restore, before the API and the workers are started; a worker that is started first does the same
within its first sweep, and raises the alert "restored". It writes an event "rewound" for each resource that it finds, and
arms everything anew. What Redis does not know either is lost without a trace: see docs/deploy.md.

Example:
  lapse restored
  lapse restored --revoke --kind verification
  lapse restored --done`,
    )
    .action(async ({ revoke: ends, kind, done, json }: Options) => {
      await withLapse(async (lapse) => {
        if (kind !== undefined && !lapse.kinds.includes(kind))
          throw new Failure(`There is no kind ${kind} here. There are: ${lapse.kinds.join(', ')}.`, codes.usage)
        await requireRedis(lapse)
        await recognize(lapse)
        const all = await lapse.restored.read()
        const found = all && {
          ...all,
          resources: all.resources.filter((one) => kind === undefined || one.kind === kind),
        }
        const revoked = found && ends ? await revoke(lapse, found) : 0
        if (done) await lapse.restored.done()
        if (json) return printJson({ restored: found ?? null, revoked, done: done === true })
        if (!found) return print('Nothing is lost: PostgreSQL has all that Redis has been told of.')
        if (ends) print(`${revoked} revoked.`)
        else if (!done) print(report(found))
        if (done) print('The alert is cleared within minutes.')
      })
    })
}
