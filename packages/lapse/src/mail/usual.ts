import type { EventType, Letter, LetterContext } from '@lapse/domain'

type Words = (about: { it: string; remaining: string; until: string }) => readonly [subject: string, ...string[]]

const words: Record<EventType, Words> = {
  issued: ({ it, remaining, until }) => [`${it} is ready`, `It is good for ${remaining}, until ${until}.`],
  used: ({ it, until }) => [
    `${it} was used`,
    `If that was not you, say so to whoever gave it to you.`,
    goodUntil(until),
  ],
  consumed: ({ it }) => [`${it} has been used`, 'It has done its work, and cannot be used again.'],
  renewed: ({ it, until }) => [`${it} has been renewed`, goodUntil(until)],
  revoked: ({ it }) => [`${it} has been revoked`, over, 'If you did not expect that, ask whoever gave it to you.'],
  reminded: ({ it, remaining, until }) => [
    `${it} ends in ${remaining}`,
    `It can be used until ${until}. If you need it for longer, see to it before then; else there is nothing to do.`,
  ],
  grace: ({ it, remaining, until }) => [
    `${it} has run out`,
    `You can go on for another ${remaining}, until ${until}. After that it ends, unless it is renewed.`,
  ],
  expired: ({ it }) => [`${it} has ended`, over, 'If you still need it, ask for a new one.'],
  suspended: ({ it }) => [`${it} is suspended`, 'It cannot be used until it is restored. Its time goes on meanwhile.'],
  restored: ({ it, until }) => [`${it} works again`, goodUntil(until)],
  requested: ({ it }) => [`A new one is asked for`, `${it} can no longer be used, and somebody asks for a new one.`],
}

const goodUntil = (until: string): string => `It is good until ${until}.`
const over = 'It cannot be used any more.'

/** A decent letter for any kind and any event, for `mail.templates`. */
export const usualLetter = ({ type, resource, remaining, until }: LetterContext): Letter => {
  const it = `Your ${resource.kind.replaceAll('-', ' ')}`
  const [subject, ...lines] = words[type]({ it, remaining, until })
  return { subject, lines: [`${subject}.`, ...lines] }
}
