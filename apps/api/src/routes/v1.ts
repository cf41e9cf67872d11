import { guard } from '../http/access.ts'
import { noToken } from '../http/auth.ts'
import { boundConcurrency } from '../http/concurrency.ts'
import { sendNotFound } from '../http/errors.ts'
import { refuseOtherMethods } from '../http/methods.ts'
import { knowWho } from '../http/who.ts'
import { abuseRoutes } from './abuse.ts'
import { accessGrantWatchRoutes } from './access-grant-watch.ts'
import { accessGrantRoutes } from './access-grants.ts'
import { alertRoutes } from './alerts.ts'
import { apiTokenRoutes } from './api-tokens.ts'
import { bulkRoutes } from './bulk.ts'
import { deliveryRoutes } from './deliveries.ts'
import { eventRoutes } from './events.ts'
import { forecastRoutes } from './forecast.ts'
import { httpCallRoutes } from './http-calls.ts'
import { inviteRoutes } from './invites.ts'
import { mailSuppressionRoutes } from './mail-suppressions.ts'
import { membershipRoutes } from './memberships.ts'
import { organizationRoutes } from './organizations.ts'
import { promoCodeRoutes } from './promo-codes.ts'
import { resourceRoutes } from './resources.ts'
import type { App, PeopleContext } from './route.ts'
import { sessionRoutes } from './sessions.ts'
import { shareLinkRoutes } from './share-links.ts'
import { signInRoutes } from './sign-in.ts'
import { trialRoutes } from './trials.ts'
import { userRoutes } from './users.ts'
import { verbRoutes } from './verbs.ts'
import { verificationRoutes } from './verifications.ts'
import { webhookEndpointRoutes } from './webhook-endpoints.ts'
import { webhookReplayRoutes } from './webhook-replays.ts'

/** Everything under /v1. Each route says who may call it; see `permit` and `openTo`. `hash` is the root token's. */
export const registerV1 = async (app: App, context: PeopleContext, hash: string): Promise<void> => {
  const { lapse, limits, metrics } = context
  await app.register(async (scope: App) => {
    knowWho(scope, { lapse, limits, hash })
    boundConcurrency(metrics)(scope)
    guard(scope, lapse)
    const refuse = refuseOtherMethods(scope)
    resourceRoutes(scope, context)
    verbRoutes(scope, context)
    bulkRoutes(scope, context)
    forecastRoutes(scope, context)
    trialRoutes(scope, context)
    organizationRoutes(scope, context)
    userRoutes(scope, context)
    membershipRoutes(scope, context)
    inviteRoutes(scope, context)
    signInRoutes(scope, context)
    sessionRoutes(scope, context)
    verificationRoutes(scope, context)
    apiTokenRoutes(scope, context)
    accessGrantRoutes(scope, context)
    accessGrantWatchRoutes(scope, context)
    promoCodeRoutes(scope, context)
    shareLinkRoutes(scope, context)
    httpCallRoutes(scope, context)
    webhookEndpointRoutes(scope, context)
    webhookReplayRoutes(scope, context)
    eventRoutes(scope, context)
    deliveryRoutes(scope, context)
    mailSuppressionRoutes(scope, context)
    alertRoutes(scope, context)
    abuseRoutes(scope, context)
    refuse()
  })
  // What is not there is nobody's business without a token either.
  await app.register(
    async (scope: App) => {
      knowWho(scope, { lapse, limits, hash })
      scope.addHook('onRequest', async ({ who }) => {
        if (who.is === 'nobody') throw noToken()
      })
      scope.setNotFoundHandler(sendNotFound)
    },
    { prefix: '/v1' },
  )
}
