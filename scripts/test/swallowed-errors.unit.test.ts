import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from '../root.mjs'

/** The ways to hide an error. A `catch` block that only holds a comment says why, and may. */
const swallows = [
  // .catch(() => {}), .catch(() => undefined), .catch((error) => null), .catch(async () => {}), .catch(noop)
  /\.catch\(\s*(?:async\s*)?(?:\(\s*\w*\s*\)|\w+)\s*=>\s*(?:\{\s*\}|\(?\{\s*\}\)|undefined|null|void 0|false|0|\[\]|''|"")\s*,?\s*\)/g,
  /\.catch\(\s*(?:noop|ignore\w*)?\s*\)/g,
  // .then(…, () => {})
  /\.then\([^;]{0,400}?,\s*(?:async\s*)?\(\s*\w*\s*\)\s*=>\s*(?:\{\s*\}|undefined|null)\s*,?\s*\)/g,
  // catch {} and catch (error) {}
  /\bcatch\s*(?:\(\s*\w+\s*\)\s*)?\{\s*\}/g,
]

const found = (text: string): string[] => swallows.flatMap((pattern) => text.match(pattern) ?? [])

it('no error is swallowed in the sources: it is handled, counted by place, or thrown', () => {
  const files = ['packages', 'apps'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /^[^/]+\/src\/.*\.ts$/.test(file) && !file.includes('/generated/'))
      .map((file) => join(folder, file)),
  )
  expect(files.length).toBeGreaterThan(200)
  const swallowed = files.flatMap((file) =>
    found(readFileSync(join(root, file), 'utf8')).map((text) => `${file}: ${text}`),
  )
  expect(swallowed).toEqual([])
})

it.each([
  'act().catch(() => {})',
  'act().catch(() => undefined)',
  'act().catch((error) => null)',
  'act().catch(async () => {})',
  'act().catch(() => [])',
  'act()\n  .catch(\n    () => {},\n  )',
  'act().then(\n  (value) => use(value),\n  () => {},\n)',
  'try { act() } catch {}',
  'try { act() } catch (error) {\n}',
])('finds %j', (text) => expect(found(text)).not.toEqual([]))

it.each([
  "act().catch((error) => report(error, 'place'))",
  'z.string().catch("")',
  'act().catch(onError)',
  'try { act() } catch {\n  // Another key has sealed it.\n}',
  'act().then((value) => use(value), (error) => report(error))',
])('lets %j be', (text) => expect(found(text)).toEqual([]))
