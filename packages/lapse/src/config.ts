import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type AccessGrantOptions, type Kind, purposes, type SessionOptions } from '@lapse/domain'
import type { Transporter } from 'nodemailer'
import type { BuiltInKind, BuiltInOptions } from './lapse.ts'
import type { MailTemplates } from './mail/templates.ts'

/** What an application tells Lapse: its kinds, with their hooks and handlers, and how it sends mail. */
export interface LapseConfig<K extends Kind = Kind> extends BuiltInOptions {
  kinds?: readonly K[]
  mail?: {
    /** `smtp://…` or a nodemailer transport; SMTP_URL without. */
    transport?: string | Transporter
    /** `Name <address>`; LAPSE_MAIL_FROM without. */
    from?: string
    /** Mails in place of those a kind has, or beside them; `null`: none. By kind, then by event. */
    templates?: MailTemplates<K | BuiltInKind>
  }
}

/** For `lapse.config.ts`: `export default defineConfig({ kinds: [...] })`. */
export const defineConfig = <const K extends Kind = never>(config: LapseConfig<K>): LapseConfig => config as LapseConfig

// What is misspelt would be left out without a word, for nothing compiles the file.
const options: readonly (readonly [path: readonly string[], known: readonly string[]])[] = [
  [[], ['kinds', 'grants', 'sessions', 'verifications', 'mail'] satisfies (keyof LapseConfig)[]],
  [['mail'], ['transport', 'from', 'templates'] satisfies (keyof NonNullable<LapseConfig['mail']>)[]],
  [['grants'], ['elevated', 'lifetime', 'reminders', 'retention'] satisfies (keyof AccessGrantOptions)[]],
  [
    ['grants', 'lifetime'],
    ['default', 'max', 'elevated'],
  ],
  [['sessions'], ['idle', 'longest'] satisfies (keyof SessionOptions)[]],
  [['verifications'], purposes],
]

const usual = ['lapse.config.ts', 'lapse.config.js', 'lapse.config.mjs']

/** Something about the configuration file that its author can mend. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/**
 * Loads the configuration at `path`, or `lapse.config.ts` (.js, .mjs) in the working directory, or nothing.
 *
 * @throws ConfigError saying what is wrong with the file
 */
export const loadConfig = async (path?: string): Promise<LapseConfig> => {
  const file = path === undefined ? usual.map((name) => resolve(name)).find(existsSync) : resolve(path)
  if (file === undefined) return {}
  if (!existsSync(file)) throw new ConfigError(`LAPSE_CONFIG names ${file}, and there is no such file.`)
  const { createJiti } = await import('jiti')
  const load = async (): Promise<unknown> =>
    createJiti(pathToFileURL(file).href)
      .import(file, { default: true })
      .catch((error: Error) => {
        // The first line of the stack that is in the file says where.
        const line = error.stack?.split('\n').find((frame) => frame.includes(file))
        const at = /:(\d+):\d+\)?$/.exec(line ?? '')?.[1]
        throw new ConfigError(`${file}${at ? `:${at}` : ''}: ${error.message}`, { cause: error })
      })
  const config = await load()
  if (typeof config !== 'object' || config === null || ('kinds' in config && !Array.isArray(config.kinds)))
    throw new ConfigError(`${file} must export by default what defineConfig({ kinds: [...] }) returns.`)
  for (const [path, known] of options) {
    const given = path.reduce<object | undefined>((within, name) => (within as Record<string, object>)?.[name], config)
    const unknown = Object.keys(given ?? {}).find((option) => !known.includes(option))
    if (unknown === undefined) continue
    const where = [...path, unknown].join('.')
    throw new ConfigError(`${file}: ${where} is no option. There are: ${known.join(', ')}`)
  }
  return config
}
