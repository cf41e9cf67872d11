/** A reply of a mail server that refuses a mail. */
export interface SmtpReply {
  readonly code: number
  /** All of it, such as `550 5.1.1 User unknown`. */
  readonly text: string
  /** What it answers, in nodemailer's words; after the final dot that is `DATA` too. */
  readonly command: string | undefined
}

export interface SmtpVerdict {
  /** Another attempt would get the same answer. */
  readonly final: boolean
  /** There is no such address: no mail can reach it. */
  readonly noSuchAddress: boolean
  /** People have to repair it: it is retried for days. */
  readonly retryForDays: boolean
}

/** RFC 3463 (RFC 7505 for `X.1.10`): no such mailbox, domain or syntax, moved without a new address, a domain without mail. */
const noSuchAddress = /^1\.(?:1|2|3|6|10)$/
/** The sender's address is malformed, or its domain is unknown: that is ours. */
const ofTheSender = /^1\.[78]$/
/** RFC 3463: `X.2.1` disabled mailbox, `X.2.3` message too long for the mailbox. */
const finalForMailbox = /^2\.[13]$/
/** RFC 3463: `X.2.2` full mailbox, `X.3` the mail system, `X.4` network and routing, `X.7` security and policy. */
const repairable = /^(?:2\.2$|[347]\.)/

/**
 * Basic codes, where a server gives no enhanced one, that say nothing of the recipient or the message: 500 to 504 the
 * dialogue, 530 to 538 the login (RFC 4954), 552 a full mailbox (RFC 5321), 555 parameters.
 */
const repairableCodes = new Set([500, 501, 502, 503, 504, 530, 534, 535, 538, 552, 555])

/** Judges by the enhanced status code (RFC 3463), whichever command it answers; without one by the basic code and the command. */
export const judgeReply = ({ code, text, command }: SmtpReply): SmtpVerdict => {
  const detail = enhancedDetail(code, text)
  if (detail !== undefined && repairable.test(detail)) return retry(true)
  if (code < 500) return retry(false)
  if (command === 'MAIL FROM') return judgeSender(detail)
  // The greeting, the encryption and the login say nothing of a mail.
  if (command !== 'RCPT TO' && command !== 'DATA') return retry(true)
  if (detail === undefined) return repairableCodes.has(code) ? retry(true) : final(false)
  if (ofTheSender.test(detail)) return retry(true)
  if (noSuchAddress.test(detail)) return final(true)
  return detail.startsWith('1.') || finalForMailbox.test(detail) || !repairableCodes.has(code)
    ? final(false)
    : retry(true)
}

/** A server that has only heard the sender knows no recipient, and `5.1.0` (any address) can only be the sender's. */
const judgeSender = (detail: string | undefined): SmtpVerdict => {
  if (detail === undefined || detail === '1.0' || ofTheSender.test(detail)) return retry(true)
  return detail.startsWith('1.') || finalForMailbox.test(detail) ? final(false) : retry(true)
}

const retry = (retryForDays: boolean): SmtpVerdict => ({ final: false, noSuchAddress: false, retryForDays })
const final = (unknownAddress: boolean): SmtpVerdict => ({
  final: true,
  noSuchAddress: unknownAddress,
  retryForDays: false,
})

/**
 * Subject and detail of the enhanced code, such as `1.1`. RFC 2034 puts it first and wants its class to be the code's own first
 * digit: another one contradicts the code and is ignored.
 */
const enhancedDetail = (code: number, text: string): string | undefined => {
  const [, statusClass, detail] = /^\d{3}[ -](\d)\.(\d{1,3}\.\d{1,3})(?!\S)/.exec(text) ?? []
  return statusClass === String(code)[0] ? detail : undefined
}
