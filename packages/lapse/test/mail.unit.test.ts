import { trial } from '@lapse/domain'
import { describe, expect, it } from 'vitest'
import { render } from '../src/mail/letter.ts'
import { inFull, inWords } from '../src/mail/words.ts'

const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000]
const now = new Date('2026-11-21T10:00:00Z')

const happening = (email: string, product: string, remainingMs: number) => ({
  type: 'reminded' as const,
  at: now,
  from: 'active' as const,
  to: 'active' as const,
  resource: {
    ...{
      id: '',
      kind: 'trial',
      status: 'active' as const,
      word: 'active',
      reference: null,
      scope: null,
      organizationId: null,
      subject: null,
    },
    ...{ payload: { email, product }, version: 1, uses: 0, maxUses: 1, issuedAt: now, endedAt: null, seenAt: now },
    ...{ maxUsesEach: null, lastUsedAt: null, startsAt: null },
    expiresAt: new Date(now.getTime() + remainingMs),
    endsAt: new Date(now.getTime() + remainingMs + day),
  },
})

const reminded = (product: string, remainingMs: number) => {
  const template = trial.mail.reminded
  if (!template) throw new Error('a trial has reminders')
  const carried = { url: (path: string) => path, secrets: {}, secret: () => '' }
  return render(template, happening('ada@example.com', product, remainingMs), carried)
}

describe('mail', () => {
  it.each([
    [0, 'a second'],
    [20 * second, '20 seconds'],
    [89 * second, '89 seconds'],
    [90 * second, '2 minutes'],
    [minute * 59.6, '60 minutes'],
    [1.6 * hour, '2 hours'],
    [hour * 1.5, '2 hours'],
    [91 * minute, '2 hours'],
    [35 * hour, '35 hours'],
    [36 * hour, '2 days'],
    [3 * day, '3 days'],
  ])('%i ms is "%s" in words', (ms, words) => expect(inWords(ms)).toBe(words))

  it('says the time that really remains, and until when', () => {
    const { subject, text, html } = reminded('Engines', 3 * day)
    expect(subject).toBe('Your trial of Engines ends in 3 days')
    expect(text).toContain(`on ${inFull(new Date(now.getTime() + 3 * day))}.`)
    expect(text).toContain('24 November 2026 at 10:00 UTC')
    expect(html).toContain('ends in 3 days')
  })

  it('lets nothing from a payload become markup or another header', () => {
    const { subject, html } = reminded('<script>alert("1")</script>\r\nBcc: everyone@example.com', day)
    expect(subject).not.toMatch(/[\r\n]/)
    expect(html).not.toContain('<script>')
    expect(html).toContain('&lt;script&gt;')
  })
})
