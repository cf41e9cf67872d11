import type { Command } from 'commander'
import type { ApiToken } from 'lapse'
import { duration, several } from '../options.ts'
import { note, print, printJson, table } from '../output.ts'
import { withLapse } from '../services.ts'

interface Create {
  name: string
  scope: string[]
  organization?: string
  expiresIn?: number
  longLived?: true
}

const by = { actor: 'cli' }

const shown = ({ id, payload, status, organizationId, expiresAt, lastUsedAt }: ApiToken): string[] => [
  id,
  status,
  `until ${expiresAt.toISOString()}`,
  lastUsedAt ? `used ${lastUsedAt.toISOString()}` : 'never used',
  organizationId ?? 'root',
  payload.scopes.join(' '),
  payload.name,
]

export const tokens = (program: Command): void => {
  const group = program.command('tokens').description('The tokens that programs call the API with.')

  group
    .command('create')
    .description('Create one. The token alone goes to stdout, and is never shown again.')
    .requiredOption('--name <name>', 'what it is for, for people')
    .requiredOption(
      '--scope <scope>',
      'what it may do, as trials:write; * is everything; may be given several times',
      several,
    )
    .option('--organization <id>', 'whom it acts for, by its id or your own for it; everybody without')
    .option('--expires-in <duration>', '90d unless said otherwise, 365d at most', duration)
    .option('--long-lived', 'may live for up to ten years')
    .addHelpText(
      'after',
      '\nExample:\n  TOKEN=$(lapse tokens create --name "nightly report" --scope resources:read --scope events:read --expires-in 30d)',
    )
    .action(async ({ name, scope: scopes, organization, expiresIn: expiresInMs, longLived }: Create) => {
      const { token, apiToken } = await withLapse((lapse) =>
        lapse.apiTokens.create({ name, scopes, organization, expiresInMs, longLived }, by),
      )
      print(token)
      note(`${shown(apiToken).join('  ')}\nIt is not shown again. To end it: lapse tokens revoke ${apiToken.id}`)
    })

  group
    .command('revoke <id>')
    .description('End one at once; quiet when it has ended.')
    .option('--reason <text>', 'stands in the audit')
    .addHelpText(
      'after',
      '\nExample:\n  lapse tokens revoke 019abcde-0000-7000-8000-000000000001 --reason "left the company"',
    )
    .action(async (id: string, { reason }: { reason?: string }) => {
      const { apiToken } = await withLapse((lapse) => lapse.apiTokens.revoke(id, { ...by, reason }))
      print(`${apiToken.id} is ${apiToken.word}.`)
    })

  group
    .command('list')
    .description('Those that are live, the newest first.')
    .option('--organization <id>', 'of one organization, by its id or your own for it')
    .option('--all', 'those that have ended too')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExample:\n  lapse tokens list --all')
    .action(async ({ organization, all, json }: { organization?: string; all?: true; json?: true }) => {
      const found = await withLapse(async (lapse) => {
        const organizationId = organization && (await lapse.organizations.get(organization)).id
        const filter = { ...(organizationId && { organizationId }), ...(!all && { live: true }) }
        const list: ApiToken[] = []
        for (let page: ApiToken[] = []; ; ) {
          page = await lapse.apiTokens.list(filter, { limit: 200, before: list.at(-1)?.id })
          list.push(...page)
          if (page.length < 200) return list
        }
      })
      if (json) return printJson(found)
      print(found.length > 0 ? table(found.map(shown)) : 'There is none.')
    })
}
