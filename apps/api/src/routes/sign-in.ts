import { emailAddress } from 'lapse'
import { z } from 'zod'
import { openTo } from '../http/access.ts'
import { example } from '../http/described.ts'
import { problems } from '../http/problem.ts'
import { createSendSignInLink } from '../http/sign-in-link.ts'
import { type App, answer, operation, type PeopleContext } from './route.ts'

const Ask = z.strictObject({ email: emailAddress }).meta(example({ email: 'ada@example.com' }))

const Asked = z
  .object({ status: z.literal('accepted') })
  .meta({ description: 'If somebody may sign in with this address, a link is on its way there.' })

/** Signing in by a link that is sent by mail. */
export const signInRoutes = (app: App, context: PeopleContext): void => {
  const sendSignInLink = createSendSignInLink(context)

  app.post(
    '/v1/sign-in',
    {
      ...openTo('anybody'),
      schema: {
        ...operation(
          'sign-in',
          'requestSignIn',
          'Ask for a link to sign in',
          'The same answer after the same time for every address, known or not. The link is good for 10 minutes.',
        ),
        body: Ask,
        response: { 202: answer('Heard.', Asked), ...problems(400, 403, 413, 415, 422, 429) },
      },
    },
    async (request, reply) => {
      await sendSignInLink(request, request.body.email)
      return reply.code(202).send({ status: 'accepted' as const })
    },
  )
}
