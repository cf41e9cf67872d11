// As `npm start`, from the sources: an app starts again when they change.
import { command } from './lifetime.mjs'
import { startStack } from './stack.mjs'

const INFORMATION = 30

await command(
  async () => {
    await startStack({
      program: (app) => [
        ...[
          'node_modules/tsx/dist/cli.mjs',
          'watch',
          '--clear-screen=false',
          `--include=${process.env.LAPSE_CONFIG || 'lapse.config.ts'}`,
        ],
        ...['--conditions=source', `apps/${app}/src/main.ts`],
      ],
      level: INFORMATION,
    })
    return new Promise(() => {})
  },
  { stopped: 0 },
)
