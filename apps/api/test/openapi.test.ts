import { readdirSync, readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
let description: Body
beforeAll(async () => {
  api = await testApi()
  description = (await api.call('GET', '/openapi.json', undefined, { authorization: '' })).body
})

const operations = (): [string, Body][] =>
  Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Body).map(([method, operation]): [string, Body] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  )

/** The routes as they stand in the sources; two verbs share one. */
const routes = (): string[] => {
  const folder = new URL('../src/routes/', import.meta.url)
  const source = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'))
  const found = [...source.join('').matchAll(/app\.(get|post|patch|delete)\(\s*['`]([^'`]+)['`]/g)]
  return found.flatMap(([, method = '', path = '']) =>
    (path.endsWith('}') ? ['revoke', 'expire'] : ['']).map(
      (verb) => `${method.toUpperCase()} ${path.replace(/\$\{verb\}$/, verb).replaceAll(/:(\w+)/g, '{$1}')}`,
    ),
  )
}

describe('the description', () => {
  it('is OpenAPI 3.1 and has every route that there is, and no other', () => {
    expect(description.openapi).toMatch(/^3\.1\./)
    expect(routes().length).toBeGreaterThan(20)
    expect(
      operations()
        .map(([name]) => name)
        .sort(),
    ).toEqual(routes().sort())
  })

  it('every operation says what it does, under one name, with a body for each of its answers', () => {
    const names = operations().map(([, operation]) => operation.operationId)
    expect(new Set(names).size).toBe(names.length)
    for (const [name, operation] of operations()) {
      expect([name, operation.summary, operation.tags?.length, typeof operation.description]).toEqual([
        name,
        expect.any(String),
        1,
        'string',
      ])
      for (const [status, response] of Object.entries<Body>(operation.responses)) {
        expect([name, status, response.description]).not.toEqual([name, status, 'Default Response'])
        const [type, media] = Object.entries<Body>(response.content)[0] ?? []
        expect([name, status, Object.keys(media.schema).length > 0]).toEqual([name, status, true])
        if (Number(status) >= 400) expect([name, status, type]).toEqual([name, status, 'application/problem+json'])
        if (Number(status) >= 400) expect(media.example.status).toBe(Number(status))
      }
    }
  })

  it('everything under /v1 says who may ask, which is the bearer of a token with a scope unless it is listed here', () => {
    const { token, session, cookie } = description.components.securitySchemes
    expect([token, session]).toEqual([token, session].map(() => expect.objectContaining({ scheme: 'bearer' })))
    expect(cookie).toMatchObject({ type: 'apiKey', in: 'cookie' })
    const bearer = { token: [expect.stringMatching(/^[a-z-]+:(read|write)$/)] }
    const signedIn = [{ session: [] }, { cookie: [] }]
    const others: Record<string, object[]> = {
      'POST /v1/sign-in': [],
      'POST /v1/sessions': [{}, bearer],
      'POST /v1/share-links/unlock': [{}, bearer],
      'GET /v1/sessions': [bearer, ...signedIn],
      'GET /v1/sessions/current': signedIn,
      'POST /v1/sessions/{id}/revoke': [bearer, ...signedIn],
      'POST /v1/sessions/revoke': [bearer, ...signedIn],
      'GET /v1/invites/mine': signedIn,
      'POST /v1/invites/accept': [bearer, ...signedIn],
      'POST /v1/invites/decline': signedIn,
      'POST /v1/invites/{id}/accept': signedIn,
      'POST /v1/invites/{id}/decline': signedIn,
    }
    for (const [name, { security, responses }] of operations()) {
      if (!name.includes(' /v1/')) continue
      expect([name, security]).toEqual([name, others[name] ?? [bearer]])
      expect([name, Object.keys(responses)]).toEqual([name, expect.arrayContaining(['401', '500', '503'])])
    }
  })

  it('every reference leads somewhere, every parameter in a path is told, and bodies have examples', () => {
    const text = JSON.stringify(description)
    for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      expect(Object.keys(description.components.schemas)).toContain(name)
    expect(text).not.toContain('"x-')
    for (const [name, operation] of operations()) {
      const told = (operation.parameters ?? []).filter((one: Body) => one.in === 'path').map((one: Body) => one.name)
      expect([name, told]).toEqual([name, [...name.matchAll(/\{(\w+)\}/g)].map(([, one]) => one)])
      const body = operation.requestBody?.content['application/json']
      if (Object.keys(body?.schema.properties ?? {}).length > 0)
        expect([name, body.examples]).toEqual([name, expect.any(Object)])
    }
  })

  it('its examples are accepted as they stand', async () => {
    const names = [
      'resources',
      'resources/bulk',
      'access-grants',
      'trials',
      'organizations',
      'users',
      'memberships',
      'invites',
      'api-tokens',
      'webhook-endpoints',
    ]
    for (const path of [...names, 'verifications', 'promo-codes', 'share-links', 'http-calls'].map(
      (name) => `/v1/${name}`,
    )) {
      const { examples } = description.paths[path].post.requestBody.content['application/json']
      expect((await api.call('POST', path, examples.example.value)).status).toBe(201)
    }
  })

  it('the page at /docs is served from here alone', async () => {
    const page = await api.call('GET', '/docs', undefined, { authorization: '' })
    expect(page.status).toBe(200)
    expect(page.text).not.toMatch(/(src|href)="https?:/)
    expect(page.headers.get('content-security-policy')).not.toMatch(/https?:|\*/)
  })
})
