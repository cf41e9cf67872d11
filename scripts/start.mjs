import { build } from './build.mjs'
import { command, failure } from './lifetime.mjs'
import { startStack } from './stack.mjs'

await command(
  async () => {
    if (process.argv.length > 2)
      throw failure(
        'npm start takes no arguments. Set variables instead, as in "PORT=4000 npm start": see docs/configuration.md.',
      )
    await startStack({
      prepare: async () => {
        await build('apps/api', 'apps/worker', 'apps/cli')
        console.log('build: done')
      },
      program: (app) => [`apps/${app}/dist/main.js`],
    })
    return new Promise(() => {})
  },
  { stopped: 0 },
)
