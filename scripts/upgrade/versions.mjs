import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { installIn } from '../install.mjs'
import { failure, launch, must, tail } from '../lifetime.mjs'
import { root } from '../root.mjs'
import { freePort, until } from '../services/network.mjs'

/** What stood at a commit, installed and built in `folder`. */
export const versionAt = async (folder, commit) => {
  mkdirSync(folder, { recursive: true })
  const archive = `${folder}.tar`
  await must('git archive', 'git', ['archive', '--output', archive, commit], { cwd: root })
  await must('tar', 'tar', ['-xf', archive, '-C', folder])
  await installIn(folder)
  const options = { cwd: folder }
  await must('generate', process.execPath, [join(folder, 'scripts/generate.mjs')], options)
  await must('build', process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'apps/api', 'apps/worker'], options)
  return folder
}

/** What has been built here, copied to `folder` as a version that does not start without the migration `needed`. */
export const nextVersion = (folder, needed) => {
  for (const workspaces of ['packages', 'apps'])
    for (const name of readdirSync(join(root, workspaces)))
      for (const part of ['package.json', 'dist', 'node_modules'])
        if (existsSync(join(root, workspaces, name, part)))
          cpSync(join(root, workspaces, name, part), join(folder, workspaces, name, part), { recursive: true })
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '@lapse'), { recursive: true })
  for (const name of readdirSync(join(root, 'node_modules')))
    if (!['lapse', '@lapse'].includes(name)) symlinkSync(join(root, 'node_modules', name), join(modules, name))
  for (const name of ['domain', 'queue']) symlinkSync(join(folder, 'packages', name), join(modules, '@lapse', name))
  symlinkSync(join(folder, 'packages/lapse'), join(modules, 'lapse'))
  const file = join(folder, 'packages/domain/dist/inspect.js')
  const code = readFileSync(file, 'utf8')
  const changed = code.replace(/schemaVersion = '\w+'/, `schemaVersion = '${needed}'`)
  if (code === changed) throw failure(`${file} no longer says which migration it needs.`)
  writeFileSync(file, changed)
  return folder
}

/** Starts the API or the worker of the version in `folder`. */
export const startApp = async (app, folder, env, log) => {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const name = { api: 'PORT', worker: 'LAPSE_WORKER_PORT' }[app]
  const child = launch(process.execPath, [join(folder, `apps/${app}/dist/main.js`)], {
    log,
    env: { ...env, HOST: '127.0.0.1', [name]: String(port) },
  })
  const answers = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
  if (!(await until(async () => child.exitCode !== null || (await answers()), 60_000)) || child.exitCode !== null)
    throw failure(`the ${app} did not start:\n${tail(log)}`)
  return { url, stop: child.stop }
}
