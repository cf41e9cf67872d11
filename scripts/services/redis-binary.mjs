import { spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { atEnd, failure, must } from '../lifetime.mjs'

const OLDEST = 7

/**
 * A Redis or Valkey server program: one on PATH, else Debian's packages unpacked into `cache` (once; no root, nothing
 * installed). Answers the program, and the folders of its libraries when it brought them along.
 */
export const findRedisServer = async (cache) => {
  const found = fromPath() ?? (await fromDebian(cache))
  if (found) return found
  throw failure(
    [
      'No Redis was found. Any one of these will do:',
      '  - set REDIS_URL=redis://host:6379 (npm start and npm run dev)',
      '  - start Docker and try again (npm start and npm run dev)',
      '  - macOS: brew install valkey    Debian, Ubuntu: sudo apt-get install redis-server    Fedora: sudo dnf install valkey',
    ].join('\n'),
  )
}

export const onPath = (name) => {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/local/sbin', '/usr/sbin', '/opt/homebrew/bin')
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

const isExecutable = (file) => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const fromPath = () => {
  for (const name of ['valkey-server', 'redis-server']) {
    const program = onPath(name)
    if (!program) continue
    const version = /v=(\d+)/.exec(spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout)?.[1]
    if (Number(version) >= OLDEST) return { program, libraries: '', how: program }
    console.error(`${program} is version ${version ?? 'unknown'}; Lapse needs ${OLDEST} or newer.`)
  }
  return undefined
}

const fromDebian = async (cache) => {
  if (!onPath('apt-get') || !onPath('dpkg-deb')) return undefined
  if (!existsSync(cache)) await unpackDebian(cache)
  const triplets = readdirSync(join(cache, 'usr', 'lib')).filter((name) => name.includes('-linux-'))
  const libraries = triplets.flatMap((name) => [join(cache, 'usr', 'lib', name), join(cache, 'lib', name)]).join(':')
  return {
    program: join(cache, 'usr', 'bin', 'redis-server'),
    libraries,
    how: 'Debian packages unpacked in .data/redis',
  }
}

/** Unpacked aside and then renamed: two commands may do this at once, and either may be interrupted. */
const unpackDebian = async (cache) => {
  console.log('redis: none found, fetching the Debian packages into .data/redis (once)')
  mkdirSync(dirname(cache), { recursive: true })
  const work = mkdtempSync(`${cache}-`)
  const discard = () => rmSync(work, { recursive: true, force: true })
  atEnd(discard)
  const [downloads, archives, unpacked] = ['downloads', 'cache/archives', 'unpacked'].map((name) => join(work, name))
  for (const folder of [downloads, join(archives, 'partial'), join(work, 'state/lists/partial')])
    mkdirSync(folder, { recursive: true })
  const options = [
    ...['-o', `Dir::State=${join(work, 'state')}`, '-o', 'Dir::State::status=/var/lib/dpkg/status'],
    ...['-o', `Dir::Cache=${join(work, 'cache')}`, '-o', 'Debug::NoLocking=1', '-o', 'Acquire::Languages=none', '-qq'],
    // As root apt drops to a user who may not write here.
    ...(process.getuid() === 0 ? ['-o', 'APT::Sandbox::User=root'] : []),
  ]
  const apt = (...args) => must('fetching Redis with apt-get', 'apt-get', [...options, ...args], { cwd: downloads })
  await apt('update')
  await apt('-y', '--no-install-recommends', '--download-only', 'install', 'redis-server')
  // What is installed already is not downloaded above, and the program itself is in redis-tools.
  await apt('download', 'redis-server', 'redis-tools')
  for (const folder of [archives, downloads])
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb')))
      await must('unpacking Redis', 'dpkg-deb', ['-x', join(folder, file), unpacked])
  // One program under several names; the packaged link may be absolute.
  rmSync(join(unpacked, 'usr/bin/redis-server'), { force: true })
  symlinkSync('redis-check-rdb', join(unpacked, 'usr/bin/redis-server'))
  if (!existsSync(cache)) renameSync(unpacked, cache)
  discard()
}
