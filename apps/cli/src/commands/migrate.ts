import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { codes, Failure } from '../failure.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const script = `${root}scripts/migrate.mjs`

export const migrate = (program: Command): void => {
  program
    .command('migrate')
    .description('Apply the migrations that are pending, as "npm run migrate deploy" does.')
    .addHelpText(
      'after',
      `
The database is MIGRATE_DATABASE_URL, else DATABASE_URL: its owner has to log in there. LAPSE_APP_ROLE, when set, is
granted what the application needs. "npm run migrate" has more: status, check, resolve.

Example:
  MIGRATE_DATABASE_URL=postgresql://lapse_owner:…@db/lapse LAPSE_APP_ROLE=lapse_app lapse migrate`,
    )
    .action(async () => {
      if (!existsSync(script))
        throw new Failure(
          'The migrations are not here: they come with the repository, and with the image of the target "tools".',
          codes.usage,
        )
      process.exitCode = await new Promise<number>((resolve, reject) => {
        const child = spawn(process.execPath, [script, 'deploy'], { cwd: root, stdio: 'inherit' })
        child.once('error', reject).once('exit', (code) => resolve(code ?? codes.wrong))
      })
    })
}
