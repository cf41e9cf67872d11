import type { IncomingHttpHeaders } from 'node:http'

const longestWait = 24 * 3_600_000
const imfDate = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/**
 * How long the other side wants to be left alone, in milliseconds: at most a day, and 0 when it says nothing that can be
 * read. An instant is measured by the clock of whoever named it, for ours may be another.
 */
export const retryAfterMs = (headers: IncomingHttpHeaders): number => {
  const text = headers['retry-after']?.trim() ?? ''
  if (/^\d+$/.test(text)) return Math.min(longestWait, Number(text) * 1_000)
  const [until, theirs] = [instantOf(text), instantOf(headers.date)]
  if (until === undefined) return 0
  return Math.min(longestWait, Math.max(0, until - (theirs ?? Date.now())))
}

const instantOf = (text: string | undefined): number | undefined => {
  const instant = text !== undefined && imfDate.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(instant) ? undefined : instant
}

const longestExcerpt = 1_000
const looksAt = 8 * 1024
const removed = '[removed]'
/** Shorter ones are in everything. */
const leastSecret = 4

/** The beginning of an answer as it may be kept and read: some answer with what they were sent, so the secrets of that are taken out. */
export const excerpt = (text: string, secrets: readonly string[]): string => {
  const spellings = secrets.flatMap((secret) => [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
  ])
  // The longest first: else what is left of it would still tell.
  const all = [...new Set(spellings)].filter((one) => one.length >= leastSecret).sort((a, b) => b.length - a.length)
  return all.reduce(without, text.slice(0, looksAt)).slice(0, longestExcerpt)
}

/** Without a secret, and without its beginning where the text ends in the middle of it. */
const without = (text: string, secret: string): string => {
  const rest = text.replaceAll(secret, removed)
  const start = secret.slice(0, leastSecret)
  const from = Math.max(0, rest.length - secret.length)
  for (let at = rest.indexOf(start, from); at >= 0; at = rest.indexOf(start, at + 1))
    if (secret.startsWith(rest.slice(at))) return rest.slice(0, at) + removed
  return rest
}

/** What is secret in headers: their values, and the words of those one by one (`Bearer …`). */
export const secretsIn = (headers: Readonly<Record<string, string>>): string[] =>
  Object.entries(headers)
    .filter(([name]) => !/^(accept|content-|user-agent)/i.test(name))
    .flatMap(([, value]) => [value, ...value.split(/[\s,;="']+/)])
