import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { beforeAll, describe, expect, it } from 'vitest'
import { areas, guard, openTo, permit } from '../src/http/access.ts'
import { sendProblem } from '../src/http/errors.ts'
import type { App } from '../src/routes/route.ts'
import { testApi } from './api.ts'
import { machines, type Operation, operationsOf } from './operations.ts'

let api: Awaited<ReturnType<typeof testApi>>
let operations: Operation[]
let tokens: ReturnType<typeof machines>
beforeAll(async () => {
  api = await testApi()
  operations = await operationsOf(api)
  tokens = machines(api)
})

/** An address that leads to nothing in particular, and nothing that could be done there. */
const emptyCall = ({ method, path }: Operation) =>
  [method, path.replace('{id}', randomUUID()), method === 'GET' ? undefined : {}] as const

describe('scopes', () => {
  it('every route takes a token with its scope, and refuses all others, saying which it lacks', async () => {
    const scopes = [...new Set(operations.map(({ scope }) => scope).filter((scope) => scope !== undefined))]
    expect(scopes.length).toBeGreaterThan(20)
    for (const scope of scopes) {
      expect(areas).toContain(scope.split(':')[0])
      const others = scopes.filter((other) => other !== scope)
      const [just, all, rest] = [
        await tokens.machine({ scopes: [scope] }),
        await tokens.machine({ scopes: ['*'] }),
        await tokens.machine({ scopes: others.slice(0, 50) }),
      ]
      for (const operation of operations.filter((one) => one.scope === scope)) {
        const call = emptyCall(operation)
        for (const { ask } of [just, all])
          expect([operation.name, [401, 403].includes((await ask(...call)).status)]).toEqual([operation.name, false])
        const { status, body } = await rest.ask(...call)
        expect([operation.name, status, body.code]).toEqual([operation.name, 403, 'forbidden'])
        expect(body.detail).toContain(scope)
      }
    }
  }, 120_000)

  it('to read is no right to write, and the other way round', async () => {
    for (const { name, method, scope } of operations)
      if (method === 'GET' && scope) expect([name, scope.endsWith(':read')]).toEqual([name, true])
      else if (method === 'PATCH' || method === 'DELETE')
        expect([name, scope?.endsWith(':write')]).toEqual([name, true])
  })

  it('what is for the signed-in alone takes no token, whatever its scopes', async () => {
    const { ask } = await tokens.machine()
    const others = operations.filter(({ scope, isPublic }) => !scope && !isPublic)
    expect(others.length).toBeGreaterThan(4)
    for (const operation of others) {
      const { status, body } = await ask(...emptyCall(operation))
      expect([operation.name, status, body.code]).toEqual([operation.name, 403, 'forbidden'])
    }
  })

  it('without a token nothing is there but what is for anybody', async () => {
    for (const operation of operations) {
      const { status } = await api.call(...emptyCall(operation), { authorization: '' })
      expect([operation.name, status === 401]).toEqual([operation.name, !operation.isPublic])
    }
  })
})

describe('the guard', () => {
  const asked = async (options: object, who: object) => {
    const app = Fastify().withTypeProvider<ZodTypeProvider>()
    app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler)
    app.setErrorHandler(sendProblem)
    app.decorateRequest('who')
    app.addHook('onRequest', async (request) => void Object.assign(request, { who }))
    guard(app as unknown as App, api.lapse)
    app.get('/v1/things/:id', options, async () => 'done')
    const { statusCode } = await app.inject('/v1/things/1')
    await app.close()
    return statusCode
  }
  const token = (scopes: string[], organizationId: string | null = null) => ({
    ...{ is: 'token', apiToken: { organizationId, payload: { scopes } } },
  })
  const everybody = [{ is: 'root' }, token(['*']), token(['trials:read']), token(['*'], randomUUID())]
  const all = [...everybody, { is: 'user' }, { is: 'nobody' }]

  it.each([
    ['says nothing: the root token alone', {}, [200, 403, 403, 403, 403, 401]],
    ['is permitted: unbound tokens with the scope', permit('trials', 'read'), [200, 200, 200, 403, 403, 401]],
    ['takes another scope', permit('users', 'read'), [200, 200, 403, 403, 403, 401]],
    ['is confined: bound ones too', permit('trials', 'read', 'own'), [200, 200, 200, 200, 403, 401]],
    ['is for users: no token, and not the root’s', openTo('users'), [403, 403, 403, 403, 200, 401]],
    ['is for both', openTo('users', permit('trials', 'read')), [200, 200, 200, 403, 200, 401]],
    ['is for anybody', openTo('anybody'), [200, 200, 200, 200, 200, 200]],
    ['is for anybody and permitted', openTo('anybody', permit('users', 'read')), [200, 200, 403, 403, 200, 200]],
  ])('a route that %s', async (_, options, expected) => {
    expect(await Promise.all(all.map((who) => asked(options, who)))).toEqual(expected)
  })

  it('a route cannot be confined by an id that its path does not have', () => {
    const app = Fastify().withTypeProvider<ZodTypeProvider>()
    guard(app as unknown as App, api.lapse)
    expect(() => app.get('/v1/things/:thing', permit('trials', 'read', 'resource'), async () => '')).toThrow(/confine/)
  })
})
