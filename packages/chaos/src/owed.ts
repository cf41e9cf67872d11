import type { KindName } from './history.ts'

/** What a webhook endpoint that asks for everything is told of. */
export const told = new Set([
  ...['issued', 'used', 'consumed', 'renewed', 'revoked', 'reminded', 'grace', 'expired'],
  ...['suspended', 'restored', 'requested'],
])

/** Which side effects each event owes besides its webhook. */
export const owed: Record<KindName, Readonly<Record<string, readonly string[]>>> = {
  trial: { grace: ['email'], expired: ['email'] },
  pass: { reminded: ['email'], expired: ['email', 'handler'] },
  seat: {},
  'api-token': {},
  'promo-code': {},
  'access-grant': {},
  'http-call': { expired: ['call'] },
  invite: { issued: ['email'], expired: ['email'] },
  session: {},
  verification: { issued: ['email'] },
  'share-link': {},
}

/** A reminder, and the mails of an issue and of grace, stay silent when a renewal or the end has overtaken them. */
export const mayBeCancelled = (channel: string, event: string): boolean =>
  event === 'reminded' || (channel === 'email' && (event === 'grace' || event === 'issued'))

/** The earliest reminder of `pass`. */
export const firstReminderMs = 2_000
