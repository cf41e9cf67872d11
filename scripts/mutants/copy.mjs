import { cpSync, lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync } from 'node:fs'
import { join, relative } from 'node:path'
import { root } from '../root.mjs'

/** What a copy can do without: history, results, and what it is given in another way. */
const left = new Set(['node_modules', '.git', '.data', '.turbo', 'bench-results', 'coverage'])

/**
 * A repository of its own that shares what was installed and fetched. Its packages are its own: a link to `node_modules`
 * as a whole would lead to ours.
 */
export const copyRepository = (from, path) => {
  const nested = []
  cpSync(from, path, {
    recursive: true,
    preserveTimestamps: true,
    filter: (source) => {
      const name = relative(from, source)
      if (name.endsWith('/node_modules')) nested.push(name)
      return !left.has(name) && !name.endsWith('/node_modules')
    },
  })
  for (const name of nested) symlinkSync(join(root, name), join(path, name))
  const installed = join(root, 'node_modules')
  const own = join(path, 'node_modules')
  mkdirSync(own)
  for (const name of readdirSync(installed)) {
    if (name === '@lapse') {
      mkdirSync(join(own, name))
      for (const one of readdirSync(join(installed, name))) link(join(name, one), installed, own)
    } else if (!name.startsWith('.') || name === '.bin' || name === '.package-lock.json') link(name, installed, own)
  }
  mkdirSync(join(root, '.data'), { recursive: true })
  symlinkSync(join(root, '.data'), join(path, '.data'))
}

/** A link to one of our packages is relative, and so leads to the copy's. */
const link = (name, installed, own) => {
  const source = join(installed, name)
  symlinkSync(lstatSync(source).isSymbolicLink() ? readlinkSync(source) : source, join(own, name))
}
