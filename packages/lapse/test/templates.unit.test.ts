import { defineKind, type EventType, eventTypes, invite, type Template, trial } from '@lapse/domain'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ConfigError, createLapse, defineConfig, type MailTemplates, usualLetter } from '../src/index.ts'
import { asLetter, render } from '../src/mail/letter.ts'
import { withTemplates } from '../src/mail/templates.ts'

const pass = defineKind({
  ...{ name: 'pass', payload: z.strictObject({ door: z.string() }), lifetime: { max: '60d' } },
  contact: () => 'a@example.com',
})
const silent = defineKind({ name: 'silent', payload: z.strictObject({}), lifetime: { max: '60d' } })
const kinds = [trial, invite, pass, silent]
const letter = () => ({ subject: 'mine', lines: [] })
const mailsOf = (name: string, templates: MailTemplates) =>
  withTemplates(kinds, templates).find((kind) => kind.name === name)?.mail ?? {}

describe('templates of the application', () => {
  it('take the place of a built-in mail, add one, and take one away; the others stay', () => {
    const mail = mailsOf('trial', { trial: { expired: letter, revoked: usualLetter, grace: null } })
    expect(mail.expired).toBe(letter)
    expect(mail.revoked).toBe(usualLetter)
    expect(mail.reminded).toBe(trial.mail.reminded)
    expect(Object.keys(mail).sort()).toEqual(['expired', 'reminded', 'revoked'])
    expect(mailsOf('invite', { trial: { expired: null } })).toBe(invite.mail)
  })

  it.each<[string, object, string]>([
    [
      'a kind that does not exist',
      { trail: { expired: letter } },
      'mail.templates.trail is no kind that is configured',
    ],
    ['an event that does not exist', { trial: { expird: letter } }, 'mail.templates.trial.expird is no event'],
    ['what is no template', { trial: { expired: 'over' } }, 'trial.expired is neither a function nor null'],
    ['one without an address', { silent: { expired: letter } }, 'silent.expired has nobody to go to'],
    ['to switch off what carries a token', { invite: { issued: null } }, 'invite.issued cannot be switched off'],
  ])('%s is refused at boot, by its name', (_, templates, message) => {
    const boot = () => createLapse({ databaseUrl: 'postgres://nowhere', redisUrl: 'redis://nowhere', templates })
    expect(() => withTemplates(kinds, templates)).toThrow(ConfigError)
    expect(() => withTemplates(kinds, templates)).toThrow(message)
    if (!('silent' in templates)) expect(boot).toThrow(message)
  })

  it('are typed by the kind they are for', () => {
    const config = defineConfig({
      kinds: [pass],
      mail: {
        templates: {
          pass: { expired: ({ resource }) => ({ subject: resource.payload.door.toUpperCase(), lines: [] }) },
          trial: {
            expired: ({ resource }) => ({ subject: `${resource.payload.product}`, lines: [] }),
            revoked: usualLetter,
          },
          // @ts-expect-error: a pass has no floor.
          invite: { expired: ({ resource }) => ({ subject: resource.payload.floor, lines: [] }) },
        },
      },
    })
    expect(Object.keys(config.mail?.templates ?? {})).toEqual(['pass', 'trial', 'invite'])
  })
})

const now = new Date('2026-11-21T10:00:00Z')
const happening = (type: EventType) => ({
  ...{ type, at: now, from: 'active' as const, to: 'active' as const },
  resource: {
    ...{ id: 'i', kind: 'access-grant', status: 'active' as const, word: 'active', reference: null, scope: null },
    ...{ organizationId: null, subject: null, payload: {}, version: 1, uses: 0, maxUses: 1, maxUsesEach: null },
    ...{ issuedAt: now, endedAt: null, lastUsedAt: null, startsAt: null, seenAt: now },
    ...{ expiresAt: new Date('2026-11-23T10:00:00Z'), endsAt: new Date('2026-11-23T10:00:00Z') },
  },
})
const carried = { url: (path: string) => path, secrets: {}, secret: () => '' }

describe('a letter', () => {
  it.each(eventTypes)('is there for any kind that is %s', (type) => {
    const { subject, text, html } = render(usualLetter, happening(type), carried)
    expect(subject).toMatch(/access grant|new one/)
    expect(text).toContain(subject)
    expect(html).toContain(subject)
    expect(text).not.toMatch(/undefined|NaN/)
  })

  it('may bring its own text and its own HTML, or both', () => {
    const lines = ['made of lines']
    expect(asLetter({ subject: 's', lines, html: '<b>mine</b>' })).toMatchObject({
      text: lines[0],
      html: '<b>mine</b>',
    })
    expect(asLetter({ subject: 's', lines, text: 'mine' })).toMatchObject({ text: 'mine' })
    expect(asLetter({ subject: 's', text: 't', html: 'h' })).toEqual({ subject: 's', text: 't', html: 'h' })
  })

  it('ends with the way to stop such mails, where it is made of lines; the others are told it', () => {
    const unsubscribe = 'https://lapse.example.com/unsubscribe?token=t'
    const { text, html } = render(usualLetter, happening('reminded'), { ...carried, unsubscribe })
    expect(text.endsWith(`No more reminders by mail: ${unsubscribe}`)).toBe(true)
    expect(html).toContain(`<a href="${unsubscribe}">No more reminders by mail</a>`)
    const own: Template = (context) => ({ subject: 's', text: `stop: ${context.unsubscribe}`, html: '<p></p>' })
    expect(render(own, happening('reminded'), { ...carried, unsubscribe }).text).toBe(`stop: ${unsubscribe}`)
  })

  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'it gave no subject'],
    ['a promise', Promise.resolve(letter()), 'it gave no subject'],
    ['an empty subject', { subject: ' \r\n ', lines: [] }, 'it gave no subject'],
    ['no lines', { subject: 's' }, 'it gave neither lines nor both of text and html'],
    ['only HTML', { subject: 's', html: '<p>' }, 'it gave neither lines nor both of text and html'],
  ])('that is %s is none', (_, given, message) => {
    expect(() => render((() => given) as Template, happening('expired'), carried)).toThrow(message)
  })
})
