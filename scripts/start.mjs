import { build } from './build.mjs'
import { command } from './lifetime.mjs'
import { startStack } from './stack.mjs'

await command(
  async () => {
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
