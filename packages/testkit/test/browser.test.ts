import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hasBrowser, testBrowser, until } from '@lapse/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const COOKIE = '__Host-lapse=secret; Secure; HttpOnly; SameSite=Lax; Path=/'

const PAGES: Record<string, string> = {
  '/': '<!doctype html><title>Start</title><a href="/next">next</a><noscript><p>No scripts.</p></noscript>',
  '/next': '<!doctype html><title>Next</title>',
  '/loud': `<!doctype html><img src="http://outside.example/pixel.png"><img src="https://outside.example/">
    <script>navigator.sendBeacon('/beacon', 'gone'); new WebSocket('ws://outside.example/socket')</script>`,
  '/echo': '<!doctype html><script>fetch("/upload", { method: "POST", body: "x".repeat(1e6) })</script>',
}

describe.skipIf(!hasBrowser)('testBrowser', () => {
  let server: Server
  let port: number
  let uploaded = 0
  beforeAll(async () => {
    server = createServer(async (request, response) => {
      for await (const chunk of request) uploaded += chunk.length
      response.setHeader('set-cookie', [COOKIE, 'plain=1'])
      response.setHeader('content-type', 'text/html').end(PAGES[request.url ?? ''] ?? '')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  })
  afterAll(() => void server.close())

  it('shows a page, and records every request with the headers that were sent', async () => {
    const { page, requests } = await (await testBrowser()).visitor()
    await page.goto(`http://127.0.0.1:${port}/?token=abc`)
    await page.goto(`http://127.0.0.1:${port}/`)
    await page.getByRole('link', { name: 'next' }).click()
    await page.waitForURL('**/next')
    expect(await page.title()).toBe('Next')
    const [first, , last] = requests.filter(({ url }) => !url.endsWith('/favicon.ico'))
    expect(first).toMatchObject({ method: 'GET', url: `http://127.0.0.1:${port}/?token=abc` })
    expect(first?.headers).not.toHaveProperty('referer')
    expect(last).toMatchObject({ url: `http://127.0.0.1:${port}/next` })
    expect(last?.headers).toMatchObject({ referer: `http://127.0.0.1:${port}/`, host: `127.0.0.1:${port}` })
  })

  it('records what would leave the machine, and refuses it', async () => {
    const { page, requests } = await (await testBrowser()).visitor()
    await page.goto(`http://127.0.0.1:${port}/loud`)
    const outside = () => requests.filter(({ url }) => new URL(url).hostname === 'outside.example')
    await until(() => outside().length >= 3 && requests.some(({ method }) => method === 'POST'))
    expect(outside().map(({ method, url }) => `${method} ${url}`)).toEqual(
      expect.arrayContaining(['GET http://outside.example/pixel.png', 'CONNECT https://outside.example/']),
    )
    expect(outside().find(({ method }) => method === 'GET')?.headers.referer).toBe(`http://127.0.0.1:${port}/`)
  })

  it('passes bodies on', async () => {
    const { page } = await (await testBrowser()).visitor()
    await page.goto(`http://127.0.0.1:${port}/echo`)
    await until(() => uploaded >= 1e6)
  })

  it('gives every visitor cookies, a viewport, colours, a time zone and scripts of its own', async () => {
    const browser = await testBrowser()
    const one = await browser.visitor({
      viewport: { width: 320, height: 480 },
      colorScheme: 'dark',
      timezoneId: 'Asia/Kathmandu',
    })
    const other = await browser.visitor({ javaScriptEnabled: false })
    for (const { page } of [one, other]) await page.goto(`http://127.0.0.1:${port}/`)
    const seen = '[innerWidth, matchMedia("(prefers-color-scheme: dark)").matches, new Date(0).getHours()]'
    expect(await one.page.evaluate(seen)).toEqual([320, true, 5])
    expect(await other.page.locator('noscript p').isVisible()).toBe(true)
    expect(other.requests[0]?.headers).not.toHaveProperty('cookie')
  })

  it.each(['127.0.0.1', 'localhost'])('keeps a Secure __Host- cookie of http://%s and sends it back', async (host) => {
    const { context, page, requests } = await (await testBrowser()).visitor()
    await page.goto(`http://${host}:${port}/`)
    expect(await context.cookies()).toContainEqual(
      expect.objectContaining({ name: '__Host-lapse', secure: true, httpOnly: true, sameSite: 'Lax', domain: host }),
    )
    await page.goto(`http://${host}:${port}/next`)
    expect(requests.find(({ url }) => url.endsWith('/next'))?.headers.cookie).toContain('__Host-lapse=secret')
    // A script does not see it.
    expect(await page.evaluate('document.cookie')).toBe('plain=1')
  })
})
