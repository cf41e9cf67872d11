import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'
import { operationsOf } from './operations.ts'

/** A request that `fetch` would not send. */
const odd = (url: string, method: string, path: string) =>
  new Promise<void>((resolve) => {
    const { hostname, port } = new URL(url)
    request({ hostname, port, method, path })
      .on('response', (answer) => answer.resume().on('end', resolve))
      .on('error', () => resolve())
      .end()
  })

const each = async <T>(all: readonly T[], act: (one: T) => Promise<unknown>): Promise<void> => {
  // So many at a time.
  for (let from = 0; from < all.length; from += 50) await Promise.all(all.slice(from, from + 50).map(act))
}

describe('the metrics', () => {
  it('have so many series, whatever anybody asks for: those that were refused share theirs', async () => {
    const api = await testApi()
    const operations = await operationsOf(api)
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'BREW']
    const paths = [...new Set(operations.map(({ path }) => path))]
    const requests = methods.flatMap((method) =>
      [...paths, '/', '/queues', '/docs', '/sign-in', '/elsewhere'].map((path): [string, string] => [method, path]),
    )
    const series = async () => {
      const { text } = await api.call('GET', '/metrics')
      const lines = text.split('\n').filter((line) => line.startsWith('lapse_'))
      return { all: lines.length, http: lines.filter((line) => line.startsWith('lapse_http')), text }
    }
    const filled = (path: string) => path.replaceAll(/\{\w+\}/g, String(Math.random()))
    await each(requests, ([method, path]) => odd(api.url, method, filled(path)))
    const first = await series()
    await each(requests, ([method, path]) => odd(api.url, method, `${filled(path)}?${Math.random()}`))
    const last = await series()
    expect(requests.length).toBeGreaterThan(800)
    // A thousand more add nothing, but for a route that first fails now.
    expect(last.all - first.all).toBeLessThan(50)
    expect(last.all).toBeLessThan(500)
    // Not one for each route that refuses, nor for each method.
    expect(last.http.filter((line) => line.includes('route="(refused)"')).length).toBeLessThan(20)
    expect(last.text).not.toMatch(/PROPFIND|BREW|elsewhere/)
  }, 90_000)

  it('count what was survived by place, and each place is there before its first error', async () => {
    const api = await testApi()
    const { text } = await api.call('GET', '/metrics')
    for (const where of ['after-commit', 'limits', 'lapse', 'token-touch', 'stored-value'])
      expect(text).toContain(`lapse_errors_total{where="${where}"} 0`)
  })
})

describe('the description', () => {
  it('is serialized once, and sent only to who does not have it, compressed to who can read that', async () => {
    const { url } = await testApi()
    for (const path of ['/openapi.json', '/docs/json', '/docs/yaml']) {
      const plain = await fetch(`${url}${path}`, { headers: { 'accept-encoding': 'identity' } })
      const text = await plain.text()
      const packed = await fetch(`${url}${path}`, { headers: { 'accept-encoding': 'gzip' } })
      expect([plain.headers.get('content-encoding'), packed.headers.get('content-encoding')]).toEqual([null, 'gzip'])
      expect(await packed.text()).toBe(text)
      expect(text).toContain('/v1/resources')
      const etag = plain.headers.get('etag') ?? ''
      const again = await fetch(`${url}${path}`, { headers: { 'if-none-match': etag } })
      expect([again.status, await again.text()]).toEqual([304, ''])
    }
    // What JSON makes of it is not made again.
    const stringify = JSON.stringify
    let large = 0
    JSON.stringify = ((...args: Body[]) => {
      const made = (stringify as Body)(...args)
      if (made?.length > 100_000) large++
      return made
    }) as typeof stringify
    try {
      for (let i = 0; i < 5; i++) await (await fetch(`${url}/openapi.json`)).text()
    } finally {
      JSON.stringify = stringify
    }
    expect(large).toBe(0)
  })
})
