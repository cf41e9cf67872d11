// What the benchmarks compare Lapse with. It is no part of the workspace: nothing else needs it.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { installIn } from './install.mjs'
import { failure } from './lifetime.mjs'
import { root } from './root.mjs'

const folder = join(root, 'packages/bench/peers')

/** Installs it and answers the Node on which everybody is measured: this one, or a newer one when the others need that. */
export const preparePeers = async () => {
  await installIn(folder, '--ignore-scripts')
  const { engines, optionalDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const [wanted, present] = [engines.node, process.versions.node].map((version) => version.match(/\d+/g).map(Number))
  if (present[0] > wanted[0] || (present[0] === wanted[0] && present[1] >= wanted[1])) return process.execPath
  const brought = Object.keys(optionalDependencies)
    .map((name) => join(folder, 'node_modules', name, 'bin/node'))
    .find(existsSync)
  if (!brought) throw failure(`The peers need Node ${engines.node}; this is ${process.versions.node}.`)
  return brought
}
