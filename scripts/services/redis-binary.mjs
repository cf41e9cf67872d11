import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '../lifetime.mjs'
import { hasDebian, librariesIn, onPath, unpackDebian } from './debian.mjs'

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
  if (!hasDebian()) return undefined
  if (!existsSync(cache)) {
    console.log('redis: none found, fetching the Debian packages into .data/redis (once)')
    await unpackDebian(cache, 'Redis', { fetch, finish })
  }
  return {
    program: join(cache, 'usr', 'bin', 'redis-server'),
    libraries: librariesIn(cache),
    how: 'Debian packages unpacked in .data/redis',
  }
}

const fetch = async (apt) => {
  await apt('apt-get', '-y', '--no-install-recommends', '--download-only', 'install', 'redis-server')
  // What is installed already is not downloaded above, and the program itself is in redis-tools.
  await apt('apt-get', 'download', 'redis-server', 'redis-tools')
}

/** One program under several names; the packaged link may be absolute. */
const finish = (unpacked) => {
  rmSync(join(unpacked, 'usr/bin/redis-server'), { force: true })
  symlinkSync('redis-check-rdb', join(unpacked, 'usr/bin/redis-server'))
}
