// Installs what package-lock.json says, unless it is installed already.
import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { command, failure, run } from './lifetime.mjs'
import { root } from './root.mjs'

export const install = async () => {
  requireNode()
  await installIn(root)
}

/** Installs what the package-lock.json of a folder says, unless it is installed already. */
export const installIn = async (folder, ...more) => {
  if (isInstalled(folder)) return
  console.log(`install: npm ci${folder === root ? '' : ` in ${relative(root, folder)}`}`)
  // NODE_ENV=production or an npm setting would leave out the tools and PostgreSQL.
  const args = ['ci', '--include=dev', '--include=optional', '--no-progress', ...more]
  if ((await run('npm', args, { cwd: folder, stdio: ['ignore', 2, 'inherit'] })) !== 0) throw failure('npm ci failed')
}

const requireNode = () => {
  const { node } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines
  const numbers = (version) => version.match(/\d+/g).map(Number)
  const [[major, minor], [oldest, oldestMinor]] = [numbers(process.versions.node), numbers(node)]
  if (major < oldest || (major === oldest && minor < oldestMinor))
    throw failure(`Lapse needs Node ${node}; this is ${process.versions.node}.`)
}

/** npm keeps a record of what it has installed. An optional package may be missing: it can be another platform's. */
const isInstalled = (folder) => {
  try {
    const packages = (file) => JSON.parse(readFileSync(join(folder, file), 'utf8')).packages
    const [wanted, installed] = [packages('package-lock.json'), packages('node_modules/.package-lock.json')]
    return Object.entries(wanted).every(
      ([path, { version, optional }]) =>
        !path.includes('node_modules/') || (installed[path] ? installed[path].version === version : optional),
    )
  } catch {
    return false
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await command(install)
