import { hasBrowser, testBrowser, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { testApi } from './api.ts'

describe.skipIf(!hasBrowser)('a share link in a browser', async () => {
  const api = await testApi()

  it.each([
    ['with scripts', {}],
    ['without scripts, on a phone', { javaScriptEnabled: false, viewport: { width: 320, height: 568 } }],
  ])(
    '%s: is opened by its password, shown, and gone once it is revoked; its token goes nowhere',
    async (_, options) => {
      const { body } = await api.call('POST', '/v1/share-links', {
        ...{ title: 'Quarterly report', shared_by: 'Ada Lovelace', password: 'correct horse' },
        ...{ url: `${api.url.replace('http:', 'https:')}/content`, max_views: 1 },
      })
      const { page, context, requests } = await (await testBrowser()).visitor(options)
      const headed = (text: string) =>
        until(async () => (await page.getByRole('heading', { level: 1 }).textContent())?.includes(text), { what: text })

      await page.goto(`${api.url}/share-links/open?token=${body.token}`)
      await headed('Something is shared with you')
      expect(await page.content()).not.toMatch(/Quarterly|Ada/)
      await page.getByLabel('Password').fill('battery staple')
      await page.getByRole('button', { name: 'Open' }).click()
      await until(() => page.getByText('This is not the password').isVisible())
      expect(await page.getByLabel('Password').inputValue()).toBe('')
      expect(await page.getByLabel('Password').evaluate((field) => field.matches(':focus'))).toBe(true)
      await page.getByLabel('Password').fill('correct horse')
      // It is too soon for a while, and says so; then it opens.
      await until(
        async () => {
          if (await page.getByRole('link', { name: /^Continue to/ }).isVisible()) return true
          await page.getByLabel('Password').fill('correct horse')
          await page.keyboard.press('Enter')
          return false
        },
        { timeout: 20_000, what: 'what is shared' },
      )
      await headed('Ada Lovelace shares with you Quarterly report')
      expect(page.url()).toBe(`${api.url}/share-links/view/${body.id}`)
      const [cookie] = await context.cookies(page.url())
      expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Lax', path: '/share-links' })
      expect(await context.cookies(api.url)).toEqual([])

      await page.getByRole('link', { name: /^Continue to/ }).click()
      await until(() => requests.some(({ method }) => method === 'CONNECT'), { what: 'the way to the content' })
      await page.goto(`${api.url}/share-links/open?token=${body.token}`)
      await headed('Quarterly report')
      await api.call('POST', `/v1/share-links/${body.id}/revoke`)
      await page.reload()
      await headed('This page is closed')
      await page.goto(`${api.url}/share-links/open?token=${body.token}`)
      await headed('This link does not work')

      for (const { url, headers } of requests) {
        expect(headers).not.toHaveProperty('referer')
        if (!url.startsWith(`${api.url}/share-links/open`)) expect(url).not.toContain(body.token)
      }
    },
  )
})
