import { html } from './html.ts'
import { page } from './layout.ts'

/** 429 */
export const tooManyPage = (): string =>
  page({
    heading: 'Please wait a little',
    body: html`<p>There were too many tries in a short time. Nothing is lost: wait a few minutes, then try again.</p>`,
  })

/** 503 */
export const unavailablePage = (): string =>
  page({
    heading: 'We cannot answer just now',
    body: html`<p>Something on our side does not work at the moment. Please try again in a minute or two.</p>`,
  })

/** 500 */
export const failedPage = (): string =>
  page({
    heading: 'Something went wrong here',
    body: html`<p>That is our fault, and we have a note of it. Please try again.</p>`,
  })

/** 404 */
export const notFoundPage = (): string =>
  page({
    heading: 'There is nothing here',
    body: html`<p>The address may have been mistyped or cut short.</p>
${toAccount}`,
  })

/** 403 */
export const refusedPage = (): string =>
  page({
    heading: 'Nothing was done',
    body: html`<p>Another site, or something in your browser, sent this request in your name. If it was you who pressed the button, open the page once more and try again.</p>
${toAccount}`,
  })

/** Any other request that cannot be answered. */
export const unreadablePage = (): string =>
  page({
    heading: 'That did not work',
    body: html`<p>What was sent here cannot be read. Go back, open the page once more and try again.</p>
${toAccount}`,
  })

const toAccount = html`<a class="button quiet" href="/account">Go to your account</a>`
