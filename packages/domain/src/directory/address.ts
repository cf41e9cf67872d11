import { domainToASCII, domainToUnicode } from 'node:url'
import { z } from 'zod'
import { LapseError } from '../errors.ts'
import { unstorable } from '../text.ts'

export interface Address {
  /** As it was given; mail goes there. */
  readonly email: string
  /** As it is compared: in lower case, its domain as DNS has it. Dots and plus parts stay, for they may be other mailboxes. */
  readonly canonical: string
}

const longest = 254
/** RFC 5322's dot-atom, of RFC 5321's length: no quotes, comments or spaces, which would need care wherever a mail is written. */
const mailboxName = /^(?=.{1,64}$)[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/
/** What may be read as something else than a name (paths, percent signs, dots that only look so) is refused. */
const nameLike = /^[\p{L}\p{N}\p{M}.-]+$/u
/** No bare name, and no number for an address of the network. */
const hostName = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})$/

/** @throws LapseError `invalid`, naming the field */
export const canonicalAddress = (field: string, email: string): Address => {
  // Of a text that is far too long nothing else is read.
  const given = email
    .slice(0, 4 * longest)
    .trim()
    .normalize('NFC')
  const at = given.lastIndexOf('@')
  const [mailbox, domain] = [given.slice(0, Math.max(0, at)), given.slice(at + 1)]
  const ascii = nameLike.test(domain) ? domainToASCII(domain) : ''
  if (unstorable.test(given) || !hostName.test(ascii) || !mailboxName.test(mailbox))
    throw new LapseError('invalid', { field, detail: 'That is not an e-mail address.' })
  // Of a domain beyond ASCII the form that maps to itself, so that no two programs send its mail to different places.
  const shown = `${mailbox}@${ascii === domain.toLowerCase() ? domain : domainToUnicode(ascii)}`
  const canonical = `${mailbox}@${ascii}`.toLowerCase()
  if (Math.max(shown.length, canonical.length) > longest)
    throw new LapseError('invalid', { field, detail: `At most ${longest} characters.` })
  return { email: shown, canonical }
}

/**
 * The schema of an e-mail address, for every field and payload that takes one. It has the rule of {@link canonicalAddress} and
 * gives the address as that keeps it.
 */
export const emailAddress = z
  .string()
  .min(1)
  .max(320)
  .check((given) => {
    try {
      given.value = canonicalAddress('email', given.value).email
    } catch (error) {
      if (!(error instanceof LapseError)) throw error
      given.issues.push({ code: 'custom', message: error.detail ?? error.message, input: given.value })
    }
  })
  // Not `email`, which JSON Schema takes for ASCII alone.
  .meta({ format: 'idn-email' })
