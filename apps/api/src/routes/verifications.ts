import { type By, canonicalAddress, emailAddress, LapseError, type Verbs } from 'lapse'
import { z } from 'zod'
import { permit, requireScope } from '../http/access.ts'
import { denied } from '../http/denied.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { required, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { byOf } from '../http/who.ts'
import { delivers } from '../wire/invite.ts'
import { changedVerificationOut, IssuedVerification, purpose, Verified, verifiedOut } from '../wire/verification.ts'
import { type App, answer, operation, type PeopleContext } from './route.ts'

const Request = z
  .strictObject({
    purpose,
    email: emailAddress,
    deliver: z
      .enum(delivers)
      .optional()
      .describe(
        '`mail` unless you say otherwise; `return` gives the token or the code to you, and no mail is sent: that takes the scope `verifications:return`. Whoever has it can sign in as anybody.',
      ),
    link: text(500).optional().describe('Your own page for the mail to lead to, with `{token}` in it.'),
  })
  .meta(example({ purpose: 'reset-password', email: 'ada@example.com', deliver: 'return' }))

const Consume = z
  .strictObject({
    token: text(500).optional(),
    purpose: purpose.optional().describe('With `token`: what it has to be for.'),
    email: emailAddress.optional(),
    code: text(50).optional().describe('With `email`: as it was typed.'),
  })
  .meta(example({ token: 'lps_verification_…', purpose: 'reset-password' }))

/** For host applications that ask for passwords, and confirm addresses, themselves. */
export const verificationRoutes = (app: App, { once, redeem, mail }: PeopleContext): void => {
  app.post(
    '/v1/verifications',
    {
      ...permit('verifications', 'write'),
      schema: {
        ...operation(
          'verifications',
          'requestVerification',
          'Have an address proven',
          'By a link or a code. A new one takes the place of the one before for the same purpose and address. `deliver: return` also takes the scope `verifications:return`, which allows to sign in as anybody: give it only to the program that sends these mails itself.',
        ),
        headers: idempotent,
        body: Request,
        response: {
          201: answer('On its way, or yours to send.', IssuedVerification),
          ...problems(400, 403, 409, 413, 415, 422, 429),
        },
      },
    },
    async (request, reply) => {
      const { deliver = 'mail', ...wanted } = request.body
      if (deliver === 'return') requireScope(request, 'verifications:return', 'deliver')
      const { canonical } = canonicalAddress('email', wanted.email)
      let secret = {}
      const issue = () =>
        once(request, reply, async (verbs) => {
          const { token, code, ...rest } = await verbs.verifications.request({ ...wanted, deliver }, byOf(request))
          secret = { ...(token !== undefined && { token }), ...(code !== undefined && { code }) }
          return changedVerificationOut(rest)
        })
      const mailing = { target: canonical, about: `host ${wanted.purpose}` }
      const requested = deliver === 'mail' ? await mail(reply, mailing, issue) : await issue()
      return reply
        .code(201)
        .header('location', `/v1/resources/${requested.id}`)
        .send({ ...requested, ...secret })
    },
  )

  app.post(
    '/v1/verifications/consume',
    {
      ...permit('verifications', 'write'),
      schema: {
        ...operation(
          'verifications',
          'consumeVerification',
          'Use a token or a code',
          'Once. Whoever has the address is verified by it; a new password signs them out everywhere. The fifth wrong code locks the right one.',
        ),
        headers: idempotent,
        body: Consume,
        response: { 200: answer('It was good.', Verified), ...problems(400, 403, 409, 413, 415, 422), ...denied },
      },
    },
    async (request, reply) => {
      const use = useOf(request.body, byOf(request))
      const { status, ...verified } = await redeem(request, { kind: 'verification' }, () =>
        once(request, reply, async (verbs) => {
          const result = await use(verbs)
          return result.status === 'denied' ? result : { status: result.status, ...verifiedOut(result) }
        }),
      )
      return verified
    },
  )
}

/** One of two ways. @throws LapseError `invalid` */
const useOf = ({ token, ...rest }: z.infer<typeof Consume>, by: By) => {
  if (token === undefined) {
    const [email, code] = [required('email', rest.email), required('code', rest.code)]
    return ({ verifications }: Verbs) => verifications.consumeCode({ email }, code, by)
  }
  if (rest.code !== undefined) throw new LapseError('invalid', { field: 'code', detail: 'Give it or `token`.' })
  const purposes = [required('purpose', rest.purpose)]
  return ({ verifications }: Verbs) => verifications.consume(token, { purposes }, by)
}
