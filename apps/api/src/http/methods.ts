import type { FastifyInstance, HTTPMethods } from 'fastify'
import { HttpError } from './problem.ts'

const all = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const satisfies HTTPMethods[]

/**
 * Gathers the routes that follow in this scope; the function it returns then answers 405 for all other methods at their
 * addresses, naming those that are allowed.
 */
export const refuseOtherMethods = (scope: FastifyInstance): (() => void) => {
  const taken = new Map<string, Set<string>>()
  const open = new Set<string>()
  scope.addHook('onRoute', ({ url, method, config }) => {
    if (config?.openTo === 'anybody') open.add(url)
    const methods = taken.get(url) ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    taken.set(url, methods)
  })
  return () => {
    for (const [url, methods] of [...taken]) {
      const allow = [...methods].sort().join(', ')
      const refuse = async () => {
        throw new HttpError('method_not_allowed', { detail: `Allowed: ${allow}.`, headers: { allow } })
      }
      scope.route({
        url,
        method: all.filter((method) => !methods.has(method)),
        schema: { hide: true },
        config: { openTo: open.has(url) ? 'anybody' : 'somebody' },
        // Before a body is looked at.
        onRequest: refuse,
        handler: refuse,
      })
    }
  }
}
