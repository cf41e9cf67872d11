import type { Command } from 'commander'
import type { WebhookEndpoint } from 'lapse'
import { instant, several } from '../options.ts'
import { print, printJson, table } from '../output.ts'
import { withLapse } from '../services.ts'

const by = { actor: 'cli' }

const example = '019abcde-0000-7000-8000-000000000001'

const shown = (endpoint: WebhookEndpoint): string[] => [
  endpoint.id,
  endpoint.status,
  endpoint.url,
  endpoint.organizationId ?? 'of all',
  endpoint.kinds.join(' ') || 'all kinds',
  endpoint.events.join(' ') || 'all events',
  endpoint.disabledReason ?? (endpoint.failingSince ? `failing since ${endpoint.failingSince.toISOString()}` : ''),
]

export const webhooks = (program: Command): void => {
  const group = program.command('webhooks').description('The endpoints that are told over HTTP of what happens.')

  group
    .command('list')
    .description('The newest first, one a line.')
    .option('--organization <id>', 'of one organization, by its id or your own for it')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExample:\n  lapse webhooks list --organization acme')
    .action(async ({ organization, json }: { organization?: string; json?: true }) => {
      const found = await withLapse(async (lapse) => {
        const organizationId = organization && (await lapse.organizations.get(organization)).id
        const list: WebhookEndpoint[] = []
        for (let page: WebhookEndpoint[] = []; ; ) {
          page = await lapse.webhookEndpoints.list(organizationId ? { organizationId } : {}, {
            ...{ limit: 200, before: list.at(-1)?.id },
          })
          list.push(...page)
          if (page.length < 200) return list
        }
      })
      if (json) return printJson(found)
      print(found.length > 0 ? table(found.map(shown)) : 'There is none.')
    })

  group
    .command('test <id>')
    .description('Send one a lapse.test, although it may be disabled.')
    .addHelpText('after', `\nExample:\n  lapse webhooks test ${example}`)
    .action(async (id: string) => {
      const { deliveryId } = await withLapse(async (lapse) => {
        await lapse.queues.begun
        return lapse.webhookEndpoints.test(id, by)
      })
      print(`It is on its way. How it goes: lapse deliveries show ${deliveryId}`)
    })

  group
    .command('disable <id>')
    .description('Send one nothing any more; what waits for it is cancelled.')
    .option('--reason <text>', 'stands in the audit')
    .addHelpText('after', `\nExample:\n  lapse webhooks disable ${example} --reason "moves next week"`)
    .action(async (id: string, { reason }: { reason?: string }) => {
      const { status } = await withLapse((lapse) => lapse.webhookEndpoints.disable(id, { ...by, reason }))
      print(`It is ${status}.`)
    })

  group
    .command('enable <id>')
    .description('Send to it again, from now on; what it has missed can be replayed.')
    .addHelpText('after', `\nExample:\n  lapse webhooks enable ${example}`)
    .action(async (id: string) => {
      const { status } = await withLapse((lapse) => lapse.webhookEndpoints.enable(id, by))
      print(`It is ${status}.`)
    })

  group
    .command('replay <id>')
    .description('Send one again what happened in a span of time, and what it was not sent, the oldest first.')
    .requiredOption('--since <when>', 'from this instant on, or so long ago', instant)
    .option('--until <when>', 'before; now unless said otherwise', instant)
    .option('--kind <kind>', 'only of this kind; may be given several times', several)
    .option('--event <type>', 'only this; may be given several times', several)
    .option('--json', 'for programs')
    .addHelpText('after', `\nExample:\n  lapse webhooks replay ${example} --since 2d --event expired`)
    .action(async (id: string, options: Replay) => {
      const { since, until, kind: kinds, event: events, json } = options
      const replayed = await withLapse(async (lapse) => {
        await lapse.queues.begun
        let count = 0
        for (let cursor: string | undefined; ; ) {
          const part = await lapse.webhookEndpoints.replay(id, { since, until, kinds, events, cursor }, by)
          count += part.replayed
          if (part.cursor === null) return count
          cursor = part.cursor
        }
      })
      if (json) return printJson({ replayed })
      print(replayed === 0 ? 'There was nothing to send.' : `${replayed} on their way.`)
    })
}

interface Replay {
  since: Date
  until?: Date
  kind?: string[]
  event?: string[]
  json?: true
}
