import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { failure, must } from '../lifetime.mjs'
import { hasDebian, isExecutable, librariesIn, onPath, unpackDebian } from './debian.mjs'
import { temporaryFolder } from './private.mjs'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']
const MAC = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
const INSTALL = 'Install Chromium or Google Chrome, or set LAPSE_CHROMIUM to the program.'

/**
 * A Chromium that really runs here without a window: LAPSE_CHROMIUM, the system's, else Debian's packages unpacked into
 * `cache` (once; no root, nothing installed). Answers the program, the environment that it needs beside the usual one, and
 * whether its sandbox works here; undefined when there is none, and says so.
 */
export const findChromium = async (cache) => {
  const preset = process.env.LAPSE_CHROMIUM
  if (preset)
    return tried(preset).catch((error) => {
      throw failure(`LAPSE_CHROMIUM is set, but that program does not run: ${error.message}`)
    })
  const reasons = []
  for (const find of [...fromSystem(), () => fromDebian(cache)])
    try {
      const found = await find()
      if (found) return found
    } catch (error) {
      reasons.push(inOneLine(error.message))
    }
  console.error(['chromium: none found, so the browser tests are skipped.', INSTALL, ...reasons].join(' '))
  return undefined
}

const fromSystem = () =>
  [...NAMES.map(onPath), MAC].filter((file) => file && isExecutable(file)).map((file) => () => tried(file))

const fromDebian = async (cache) => {
  if (!hasDebian() || isUbuntu()) return undefined
  if (!existsSync(cache)) {
    console.log('chromium: none found, fetching the Debian packages into .data/chromium (once)')
    await unpackDebian(cache, 'Chromium', { fetch, finish, standalone: true })
  }
  return tried(join(cache, 'usr/lib/chromium/chromium-headless-shell'), {
    // libpulse keeps its other half where only an installed one would find it.
    LD_LIBRARY_PATH: librariesIn(cache, ['pulseaudio']),
    FONTCONFIG_FILE: join(cache, 'fonts.conf'),
  })
}

/** Ubuntu's package of that name is empty: it installs a snap. */
const isUbuntu = () =>
  existsSync('/etc/os-release') && /^ID(_LIKE)?=.*ubuntu/m.test(readFileSync('/etc/os-release', 'utf8'))

/** The variant without windows, and not what chromium-common depends on, which is for desktops: half of the bytes. */
const fetch = async (apt) => {
  const description = await apt('apt-cache', '--no-all-versions', 'show', 'chromium-headless-shell')
  const [, needed] = /^Depends: (.*)$/m.exec(description)
  const wanted = `${needed.replace(/, chromium-common [^,]*/, '')}, fonts-dejavu-core`
  await apt('apt-get', '-y', '--no-install-recommends', '--download-only', 'satisfy', wanted)
  await apt('apt-get', 'download', 'chromium-headless-shell', 'chromium-common')
}

/** The folder is found by the file, so that the repository can be moved. */
const FONTS = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
`

const finish = (unpacked) => writeFileSync(join(unpacked, 'fonts.conf'), FONTS)

/** Has it show a page: a stub that only names a package, or a missing library, comes out here. */
const tried = async (program, env = {}) => {
  const show = async (...flags) => {
    const home = temporaryFolder()
    const args = ['--headless', '--disable-gpu', '--no-first-run', `--user-data-dir=${home}`, ...flags]
    const options = { env: { ...process.env, HOME: home, ...env }, timeout: 20_000, killSignal: 'SIGKILL' }
    const page = await must(program, program, [...args, '--dump-dom', 'data:text/html,<p>It runs'], options)
    if (!page.includes('<p>It runs</p>')) throw failure(`${program} shows no page.`)
  }
  // Its sandbox does not work for root, nor where a container or the kernel allows no namespaces.
  const sandbox = process.getuid() !== 0 && !(await show().catch((error) => error))
  if (!sandbox) await show('--no-sandbox')
  return { program, env, sandbox }
}

/** What failed, and the last that it said. */
const inOneLine = (message) => {
  const lines = message.trim().split('\n')
  return [...new Set([lines[0], lines.at(-1)])].join(' ')
}
