import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyContextConfig } from 'fastify'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { sessionCookie } from './http/cookie.ts'
import { type Described, finished } from './http/described.ts'
import { lastingText } from './http/lasting.ts'
import type { App } from './routes/route.ts'

const description = `Everything that has a lifetime really ends.

Errors are problems (RFC 9457) with a stable \`code\`. Instants go in as RFC 3339 with an offset, or as whole seconds in
\`expires_in\`, and come out in UTC with milliseconds. The database's clock decides.`

const tags = [
  { name: 'resources', description: 'Any kind, and the verbs on one.' },
  { name: 'trials', description: 'Trials in their own words.' },
  { name: 'organizations', description: 'Whom resources are issued in.' },
  { name: 'users', description: 'People with an address.' },
  { name: 'memberships', description: 'Who belongs to which organization, and as what.' },
  { name: 'invites', description: 'Ask somebody to join an organization, and what comes of it.' },
  { name: 'sign-in', description: 'By a link that is sent by mail. Needs no token.' },
  { name: 'sessions', description: 'Who is signed in.' },
  { name: 'verifications', description: 'Proof that somebody reads an address.' },
  { name: 'api-tokens', description: 'What programs may do, here and in your own API.' },
  { name: 'promo-codes', description: 'Codes that people type to get something.' },
  { name: 'share-links', description: 'Whoever has the link may see something for a while.' },
  { name: 'access-grants', description: 'Who may do what, until it ends by itself; and what changes about that.' },
  { name: 'http-calls', description: 'Calls that are made when their time comes.' },
  { name: 'webhook-endpoints', description: 'Who is told over HTTP of what happens.' },
  { name: 'events', description: 'The audit.' },
  { name: 'deliveries', description: 'The ledger of side effects.' },
  { name: 'operation', description: 'For those who run it; no token is needed.' },
]

const tokens = 'An API token with the scope that the operation names, or with `*`; or the root token.'

/** Who may call it, as the guard reads it. */
const securityOf = ({ permit, openTo }: FastifyContextConfig = {}) => {
  if (!permit && !openTo) return {}
  return {
    security: [
      ...(permit && openTo === 'anybody' ? [{}] : []),
      ...(permit ? [{ token: [permit.scope] }] : []),
      ...(openTo === 'users' ? [{ session: [] }, { cookie: [] }] : []),
    ],
  }
}

/** Swagger UI sets styles on elements; everything else comes from here. */
const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The description at /openapi.json, and a page for it at /docs. Has to come before the routes it describes. */
export const registerDocs = async (app: App): Promise<void> => {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Lapse', version: '0.1.0', description, license: { name: 'MIT', identifier: 'MIT' } },
      tags,
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: tokens },
          session: { type: 'http', scheme: 'bearer', description: 'The token of a session: `lps_session_…`.' },
          cookie: { type: 'apiKey', in: 'cookie', name: sessionCookie, description: 'The same, for our own pages.' },
        },
      },
    },
    transform: (given) => {
      const { schema, url } = jsonSchemaTransform(given)
      return { schema: { ...schema, ...securityOf(given.route.config) }, url }
    },
    transformObject: (document) => finished(jsonSchemaTransformObject(document) as Described),
  })
  const json = lastingText('application/json; charset=utf-8', () => JSON.stringify(app.swagger()))
  const yaml = lastingText('application/x-yaml', () => app.swagger({ yaml: true }))
  // Swagger UI would serialize it for each request.
  app.addHook('onRoute', (route) => {
    if (route.url === '/docs/json') route.handler = json
    if (route.url === '/docs/yaml') route.handler = yaml
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: contentSecurityPolicy,
    theme: { title: 'Lapse API' },
    uiConfig: {
      // Without the bar that loads other descriptions.
      layout: 'BaseLayout',
      docExpansion: 'list',
      defaultModelsExpandDepth: 0,
      tryItOutEnabled: true,
      displayRequestDuration: true,
    },
  })
  app.get('/openapi.json', { schema: { hide: true } }, json)
}
