// Programs of the system's, and programs out of Debian's packages: unpacked into a folder, with no root and nothing installed.
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { atEnd, must } from '../lifetime.mjs'

export const onPath = (name) => {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/local/sbin', '/usr/sbin', '/opt/homebrew/bin')
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

export const isExecutable = (file) => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Whether there are Debian's packages to be had, and the means to unpack them. */
export const hasDebian = () => Boolean(onPath('apt-get') && onPath('dpkg-deb'))

/** The folders of the libraries that were unpacked into `folder`, and those called `below` in them, for LD_LIBRARY_PATH. */
export const librariesIn = (folder, below = []) => {
  const triplets = readdirSync(join(folder, 'usr', 'lib')).filter((name) => name.includes('-linux-'))
  const folders = triplets.flatMap((name) => [join(folder, 'usr', 'lib', name), join(folder, 'lib', name)])
  return folders.flatMap((libraries) => [libraries, ...below.map((name) => join(libraries, name))]).join(':')
}

/**
 * Unpacks packages into `cache`, aside and then renamed: two commands may do this at once, and either may be interrupted.
 * @param name what is fetched, for errors.
 * @param options.fetch gets `apt(program, ...args)` and downloads with it, what the machine has installed excepted.
 * @param options.finish gets the folder before it is renamed.
 * @param options.standalone fetches what the machine has installed too, all but the C library: that has to fit the
 *   machine's own loader. What is unpacked then goes on working whatever is installed, upgraded or removed later.
 */
export const unpackDebian = async (cache, name, { fetch, finish, standalone = false }) => {
  mkdirSync(dirname(cache), { recursive: true })
  const work = mkdtempSync(`${cache}-`)
  const discard = () => rmSync(work, { recursive: true, force: true })
  atEnd(discard)
  const [downloads, unpacked] = ['downloads', 'unpacked'].map((part) => join(work, part))
  for (const folder of [join(downloads, 'partial'), join(work, 'state/lists/partial'), unpacked])
    mkdirSync(folder, { recursive: true })
  const status = standalone ? join(work, 'nothing-installed') : '/var/lib/dpkg/status'
  if (standalone) writeFileSync(status, '')
  const options = [
    ...['-o', `Dir::State=${join(work, 'state')}`, '-o', `Dir::State::status=${status}`],
    ...['-o', `Dir::Cache=${work}`, '-o', `Dir::Cache::archives=${downloads}`],
    ...['-o', 'Debug::NoLocking=1', '-o', 'Acquire::Languages=none', '-qq'],
    // As root apt drops to a user who may not write here.
    ...(process.getuid() === 0 ? ['-o', 'APT::Sandbox::User=root'] : []),
  ]
  const apt = (program, ...args) =>
    must(`fetching ${name} with ${program}`, program, [...options, ...args], { cwd: downloads })
  await apt('apt-get', 'update')
  await fetch(apt)
  const packages = readdirSync(downloads).filter(
    (file) => file.endsWith('.deb') && !(standalone && file.startsWith('libc6_')),
  )
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      for (let file = packages.pop(); file; file = packages.pop())
        await must(`unpacking ${name}`, 'dpkg-deb', ['-x', join(downloads, file), unpacked])
    }),
  )
  await finish(unpacked)
  try {
    renameSync(unpacked, cache)
  } catch (error) {
    if (!existsSync(cache)) throw error
  }
  discard()
}
