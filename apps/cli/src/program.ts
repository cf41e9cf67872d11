import { Command, CommanderError } from 'commander'
import { cleanup } from './commands/cleanup.ts'
import { deliveries } from './commands/deliveries.ts'
import { doctor } from './commands/doctor.ts'
import { forecast } from './commands/forecast.ts'
import { inspect } from './commands/inspect.ts'
import { migrate } from './commands/migrate.ts'
import { rearm } from './commands/rearm.ts'
import { restored } from './commands/restored.ts'
import { secrets } from './commands/secrets.ts'
import { sweep } from './commands/sweep.ts'
import { tokens } from './commands/tokens.ts'
import { webhooks } from './commands/webhooks.ts'
import { codes, explain } from './failure.ts'

export const createProgram = (): Command => {
  const program = new Command()
    .name('lapse')
    .description('Makes everything that has a lifetime really end.')
    .addHelpText(
      'after',
      `
The services are those of DATABASE_URL and REDIS_URL; beside a running \`npm start\`, those that it has started.
Exit codes: ${codes.well} all is well, ${codes.wrong} something is wrong or was refused, ${codes.usage} the command or the environment is not right.`,
    )
    .showHelpAfterError('Add --help to see what there is.')
    .exitOverride()
  for (const add of [
    migrate,
    doctor,
    inspect,
    forecast,
    sweep,
    rearm,
    restored,
    cleanup,
    secrets,
    tokens,
    deliveries,
    webhooks,
  ])
    add(program)
  return program
}

/** Does what was typed, says what is to be said of it, and leaves its exit code with the process. */
export const runCommand = async (args: readonly string[]): Promise<void> => {
  try {
    await createProgram().parseAsync(args, { from: 'user' })
  } catch (error) {
    // Commander has said what it has to say.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? codes.well : codes.usage
    else {
      const { message, code } = explain(error)
      console.error(message)
      process.exitCode = code
    }
  }
}
