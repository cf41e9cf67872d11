import { describe, expect, it } from 'vitest'
import { judgeReply } from '../src/mail/smtp-reply.ts'

const commands = ['MAIL FROM', 'RCPT TO', 'DATA'] as const
const judged = (text: string, command?: string) => {
  const { final, noSuchAddress, retryForDays } = judgeReply({ code: Number.parseInt(text, 10), text, command })
  return [final && 'final', noSuchAddress && 'no such address', retryForDays && 'for days'].filter(Boolean).join(', ')
}

describe('an enhanced status code', () => {
  it.each(commands)('decides at %s whether a refusal is final', (command) => {
    for (const detail of ['1.1', '1.2', '1.3', '1.4', '1.6', '1.10', '2.1', '2.3'])
      expect(judged(`550 5.${detail} no`, command)).toContain('final')
    for (const detail of ['1.7', '1.8', '2.2', '3.0', '3.2', '3.4', '4.1', '4.4', '7.0', '7.1', '7.26', '7.606'])
      expect(judged(`550 5.${detail} no`, command)).toBe('for days')
  })

  it.each(['RCPT TO', 'DATA'])('at %s tells that there is no such address', (command) => {
    for (const detail of ['1.1', '1.2', '1.3', '1.6', '1.10'])
      expect(judged(`550 5.${detail} no`, command)).toBe('final, no such address')
    for (const detail of ['1.0', '1.4', '2.1', '2.3', '6.0'])
      expect(judged(`550 5.${detail} no`, command)).toBe('final')
  })

  it('at MAIL FROM says nothing of a recipient that the server has not heard of', () => {
    expect(judged('550 5.1.1 no', 'MAIL FROM')).toBe('final')
    expect(judged('550 5.1.0 sender rejected', 'MAIL FROM')).toBe('for days')
  })

  it.each([...commands, 'AUTH PLAIN', 'CONN', 'EHLO'])('of a temporary refusal is never final: %s', (command) => {
    for (const detail of ['1.1', '2.1', '0.0', '6.0']) expect(judged(`450 4.${detail} later`, command)).toBe('')
    for (const detail of ['2.2', '3.1', '4.1', '7.1']) expect(judged(`451 4.${detail} later`, command)).toBe('for days')
  })

  it('is the first word after the code, whole, of the code’s own class, also of several lines', () => {
    expect(judged('550-5.7.1 blocked,\n5.1.1 see below', 'RCPT TO')).toBe('for days')
    for (const text of ['550 4.2.2 no', '550 no 5.7.1', '550 5.7 no', '550 5.7.1.1 no', '550 15.7.1 no', '550'])
      expect(judged(text, 'RCPT TO')).toBe('final')
    expect(judged('450 5.1.1 no', 'RCPT TO')).toBe('')
  })
})

describe('without an enhanced status code', () => {
  it.each(['RCPT TO', 'DATA'])(
    '5xx at %s is final, unless it is about the dialogue, the login or a full mailbox',
    (command) => {
      for (const code of [550, 551, 553, 554, 556, 571]) expect(judged(`${code} no`, command)).toBe('final')
      for (const code of [500, 501, 502, 503, 504, 530, 534, 535, 538, 552, 555])
        expect(judged(`${code} no`, command)).toBe('for days')
    },
  )

  it.each(['MAIL FROM', 'AUTH PLAIN', 'CONN', 'EHLO', undefined])('5xx at %s concerns us', (command) => {
    expect(judged('550 no', command)).toBe('for days')
    if (command !== 'MAIL FROM') expect(judged('550 5.1.1 no', command)).toBe('for days')
  })

  it('4xx is tried again as usual', () => expect(judged('451 later', 'RCPT TO')).toBe(''))
})
