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
const local = z.email()
/** What may be read as something else than a name (paths, percent signs, dots that only look so) is refused. */
const nameLike = /^[\p{L}\p{N}\p{M}.-]+$/u
/** No bare name, and no number for an address of the network. */
const hostName = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})$/

/** @throws LapseError `invalid`, naming the field */
export const canonicalAddress = (field: string, email: string): Address => {
  const given = email.trim().normalize('NFC')
  const at = given.lastIndexOf('@')
  const [mailbox, domain] = [given.slice(0, Math.max(0, at)), given.slice(at + 1)]
  const ascii = nameLike.test(domain) ? domainToASCII(domain) : ''
  if (unstorable.test(given) || !hostName.test(ascii) || !local.safeParse(`${mailbox}@example.com`).success)
    throw new LapseError('invalid', { field, detail: 'That is not an e-mail address.' })
  // Of a domain beyond ASCII the form that maps to itself, so that no two programs send its mail to different places.
  const shown = `${mailbox}@${ascii === domain.toLowerCase() ? domain : domainToUnicode(ascii)}`
  const canonical = `${mailbox}@${ascii}`.toLowerCase()
  if (Math.max(shown.length, canonical.length) > longest)
    throw new LapseError('invalid', { field, detail: `At most ${longest} characters.` })
  return { email: shown, canonical }
}
