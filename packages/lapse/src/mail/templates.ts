import { type EventType, eventTypes, type Kind, type Template } from '@lapse/domain'
import { ConfigError } from '../config.ts'
import type { PayloadOf } from '../verbs.ts'

/** Mails in place of those a kind has, or beside them; `null`: none. By kind, then by event. */
export type MailTemplates<K extends Kind = Kind> = {
  readonly [N in K['name']]?: { readonly [E in EventType]?: Template<PayloadOf<K, N>> | null }
}

/** The kinds with these mails. @throws ConfigError naming the kind and the event */
export const withTemplates = (kinds: readonly Kind[], templates: MailTemplates): readonly Kind[] => {
  const names = kinds.map(({ name }) => name)
  for (const name of Object.keys(templates))
    if (!names.includes(name)) throw wrong(name, `is no kind that is configured. There are: ${names.join(', ')}`)
  return kinds.map((kind) => {
    const own = templates[kind.name]
    return own ? { ...kind, mail: merged(kind, own) } : kind
  })
}

const merged = (kind: Kind, own: NonNullable<MailTemplates[string]>): Kind['mail'] => {
  const mail = { ...kind.mail }
  for (const [event, template] of Object.entries(own)) {
    const where = `${kind.name}.${event}`
    if (!isEvent(event)) throw wrong(where, `is no event. There are: ${eventTypes.join(', ')}`)
    if (template === undefined) continue
    if (template === null && kind.verbs && event === 'issued' && kind.mail.issued)
      throw wrong(where, 'cannot be switched off: it carries the token. Create them with "deliver": "return" instead')
    if (template !== null && typeof template !== 'function') throw wrong(where, 'is neither a function nor null')
    if (template !== null && !kind.contact)
      throw wrong(where, `has nobody to go to: the kind ${kind.name} has no contact`)
    if (template === null) delete mail[event]
    else mail[event] = template
  }
  return mail
}

const isEvent = (name: string): name is EventType => (eventTypes as readonly string[]).includes(name)

const wrong = (where: string, why: string): ConfigError => new ConfigError(`mail.templates.${where} ${why}.`)
