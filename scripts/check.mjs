// All of CI: every step is run, whatever the ones before it said.
import { generate } from './generate.mjs'
import { install } from './install.mjs'
import { command, run } from './lifetime.mjs'
import { root } from './root.mjs'

const node = (...args) => [process.execPath, args]
const STEPS = {
  'format, lint, import boundaries, cycles': node(
    'node_modules/@biomejs/biome/bin/biome',
    'ci',
    '--error-on-warnings',
    '.',
  ),
  types: node('node_modules/typescript/bin/tsc', '-b'),
  'types of the tests': node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json'),
  'dead code': node('node_modules/knip/bin/knip.js'),
  'schema drift': node('scripts/migrate.mjs', 'check'),
  tests: node('scripts/test.mjs'),
}

await command(async () => {
  process.chdir(root)
  await install()
  await generate()
  const results = []
  for (const [name, [program, args]] of Object.entries(STEPS)) {
    console.log(`\n── ${name}`)
    results.push({ name, ok: (await run(program, args)) === 0 })
  }
  console.log(`\n${results.map(({ name, ok }) => `${ok ? 'ok    ' : 'FAILED'}  ${name}`).join('\n')}`)
  return results.every(({ ok }) => ok) ? 0 : 1
})
