import type { Body, testApi } from './api.ts'

type Api = Awaited<ReturnType<typeof testApi>>

export interface Operation {
  /** As `POST /v1/trials/{id}/extend`. */
  readonly name: string
  readonly method: string
  readonly path: string
  /** What a token needs for it; for no token without. */
  readonly scope: string | undefined
  /** For anybody, without any token. */
  readonly isPublic: boolean
  readonly query: readonly string[]
  /** The names of the fields of its body. */
  readonly fields: readonly string[]
}

/**
 * Every route of /v1, as the description has it; that the description has every route is a test of its own, see
 * openapi.test.ts.
 */
export const operationsOf = async ({ call }: Api): Promise<Operation[]> => {
  const { body } = await call('GET', '/openapi.json', undefined, { authorization: '' })
  return Object.entries<Body>(body.paths)
    .filter(([path]) => path.startsWith('/v1/'))
    .flatMap(([path, methods]) =>
      Object.entries<Body>(methods).map(([verb, operation]) => {
        const method = verb.toUpperCase()
        const security: Body[] = operation.security ?? []
        return {
          name: `${method} ${path}`,
          method,
          path,
          scope: security.find(({ token }) => token)?.token[0],
          isPublic: security.length === 0 || security.some((one) => Object.keys(one).length === 0),
          query: (operation.parameters ?? []).filter((one: Body) => one.in === 'query').map((one: Body) => one.name),
          fields: Object.keys(operation.requestBody?.content['application/json'].schema.properties ?? {}),
        }
      }),
    )
}

/** Those who ask with API tokens. */
export const machines = ({ call }: Api) => {
  const created = async (more: object = {}): Promise<Body> => {
    const { status, body, text } = await call('POST', '/v1/api-tokens', { name: 'CI', scopes: ['*'], ...more })
    if (status !== 201) throw new Error(text)
    return body
  }
  const asking =
    (token: string) =>
    (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
      call(method, path, body, { authorization: `Bearer ${token}`, ...headers })
  return {
    created,
    asking,
    /** Asks with a new token. */
    machine: async (more: object = {}) => {
      const { token, ...about } = await created(more)
      return { ...about, token, ask: asking(token) }
    },
  }
}
