import { html, tame, theirs } from './html.ts'
import { page } from './layout.ts'
import { inWords } from './words.ts'

export interface Locked {
  asksPassword: boolean
  /** What is wrong with what was typed, as a sentence. */
  error?: string | undefined
}

/** At GET of the link. Tells nothing about what is shared. */
export const sharePage = ({ asksPassword, error }: Locked): string =>
  page({
    title: error ? `Please check: ${title}` : title,
    heading: 'Something is shared with you',
    body: asksPassword
      ? askPassword(error)
      : html`<p>One more click and you see it.</p>
<form method="post"><button>Open</button></form>
<p class="soft after">Why the click? Programs open links to check them. Only a person presses a button, and only then it counts as seen.</p>`,
  })

const title = 'Shared with you'

const askPassword = (
  error: string | undefined,
) => html`<p>It is kept behind a password. Whoever gave you the link can tell you.</p>
<form method="post">
<label for="password">Password</label>
${error && html`<p class="wrong" id="wrong">${error}</p>`}
<input id="password" name="password" type="password" autocomplete="off" maxlength="1000" required${error && html` aria-invalid="true" aria-describedby="wrong" autofocus`}>
<div class="acts"><button>Open</button></div>
</form>`

export interface Shown {
  title: string
  sharedBy?: string | undefined
  /** Where the content is. */
  url?: string | undefined
  expiresAt: Date
  /** By the database's clock. */
  now: Date
}

/** To who has opened it. */
export const sharedPage = ({ title: name, sharedBy, url, expiresAt, now }: Shown): string =>
  page({
    title,
    heading: html`<h1${name.length > 50 && html` class="long"`}><small>${sharedBy === undefined ? title : html`${theirs(sharedBy)} shares with you`}</small> ${theirs(name)}</h1>`,
    body: html`${
      url === undefined
        ? html`<p>There is no page to go on to from here: whoever shares it shows it elsewhere.</p>`
        : html`<a class="button" href="${url}" rel="noreferrer">Continue to ${tame(new URL(url).host)}</a>`
    }
<p class="soft after">This page stays open in this browser for ${inWords(expiresAt.getTime() - now.getTime())}.</p>`,
  })

/** The one page, status 404, for every share link that does not work, whatever the reason. */
export const invalidSharePage = (): string =>
  page({
    title,
    heading: 'This link does not work',
    body: html`<p>It may have run out, have been opened as often as it could be, or have been withdrawn. It may also have been cut short on its way here.</p>
<p>Ask whoever gave it to you for a new one.</p>`,
  })

/** 404, to who is not, or not any more, let in. */
export const closedSharePage = (): string =>
  page({
    title,
    heading: 'This page is closed',
    body: html`<p>What is opened by a link stays open for ten minutes, in the browser that opened it, and no longer than it is shared.</p>
<p>To see it again, open the link again.</p>`,
  })
