import { html } from './html.ts'
import { page } from './layout.ts'
import { inWords } from './words.ts'

export interface Failure {
  /** In seconds. */
  retryAfter: number
  /** Whether to open the page once more is to try again. */
  wasOpened: boolean
}

/** 429 */
export const tooManyPage = ({ retryAfter }: Failure): string =>
  page({
    heading: 'Please wait a little',
    body: html`<p>There were too many tries in a short time. Nothing is lost: try again in about ${inWords(Math.ceil(retryAfter / 60) * 60_000)}.</p>`,
  })

/** 503 */
export const unavailablePage = ({ wasOpened }: Failure): string =>
  page({
    heading: 'We cannot answer just now',
    body: html`<p>Something on our side does not work at the moment. Please try again in a minute or two.</p>
${wasOpened && again}`,
  })

/** 500 */
export const failedPage = ({ wasOpened }: Failure): string =>
  page({
    heading: 'Something went wrong here',
    body: html`<p>That is our fault, and we have a note of it. Please try again.</p>
${wasOpened && again}`,
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

const again = html`<a class="button" href="">Try again</a>`

const toAccount = html`<a class="button quiet" href="/account">Go to your account</a>`
