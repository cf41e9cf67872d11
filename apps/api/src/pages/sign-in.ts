import { html, tame } from './html.ts'
import { page } from './layout.ts'

export interface Asked {
  /** What is wrong with what was typed, as a sentence. */
  error?: string | undefined
  /** What was typed, to be mended. */
  email?: string | undefined
}

/** The one field there is, with what is wrong about it. */
export const emailField = ({ error, email }: Asked) => html`<label for="email">E-mail address</label>
${error && html`<p class="wrong" id="wrong">${tame(error)}</p>`}
<input id="email" name="email" type="email" inputmode="email" autocomplete="email" autocapitalize="none" spellcheck="false" maxlength="254" required${email && html` value="${tame(email)}"`}${error && html` aria-invalid="true" aria-describedby="wrong" autofocus`}>`

/** At /sign-in. */
export const signInPage = (asked: Asked = {}): string =>
  page({
    title: titleOf('Sign in', asked),
    heading: 'Sign in',
    body: html`<p>We send you a link that signs you in. There is no password.</p>
<form method="post">
${emailField(asked)}
<div class="acts"><button>Send me a link</button></div>
</form>`,
  })

/** Whoever hears the title first hears that something has to be mended. */
export const titleOf = (title: string, { error }: Asked): string => (error ? `Please check: ${title}` : title)

/** The same for every address, known or not. */
export const checkMailPage = (): string =>
  page({
    heading: 'Check your mail',
    body: html`<p>If the address you gave can be used here, a link is on its way to it. It is good for 10 minutes, and works once.</p>
<h2>Nothing came?</h2>
<ul>
<li>Give it a minute, and look into the spam folder.</li>
<li>Make sure that the address was typed correctly.</li>
<li><a href="/sign-in">Ask for another link</a>.</li>
</ul>
<p class="soft">You can close this page.</p>`,
  })

/** At GET /sign-in/open. */
export const confirmSignInPage = (): string =>
  page({
    heading: 'Sign in',
    body: html`<p>One more click and you are signed in in this browser.</p>
<form method="post"><button>Sign in</button></form>
<p class="soft after">Why the click? Mail programs open links to check them. Only a person presses a button, so your link stays good until you do.</p>`,
  })

/** At GET of the link that proves an address. */
export const confirmEmailPage = (): string =>
  page({
    heading: 'Confirm your address',
    body: html`<p>Press the button to confirm that you read the mail we sent you, so that this address is known to be yours.</p>
<form method="post"><button>Confirm</button></form>
<p class="soft after">You did not ask for this? Close this page, and nothing happens.</p>`,
  })

export const confirmedPage = (): string =>
  page({
    heading: 'Your address is confirmed',
    body: html`<p>Thank you. If you came from an invitation, you can open its link again now.</p>
${toAccount}`,
  })

/** The one page, status 404, for every link to sign in that does not work, whatever the reason. */
export const invalidLinkPage = (): string =>
  page({
    heading: 'This link does not work',
    body: html`<p>It may have run out, have been used already, or have been replaced by a newer one. It may also have been cut short on its way here.</p>
<a class="button" href="/sign-in">Get a new link</a>`,
  })

/** The one page, status 404, for every link to confirm an address that does not work, whatever the reason. */
export const invalidConfirmationPage = (): string =>
  page({
    heading: 'This link does not work',
    body: html`<p>It may have run out, have been replaced by a newer one, or have been used already: then your address is confirmed, and there is nothing left to do. It may also have been cut short on its way here.</p>
<p>You can ask for a new one where you were asked to confirm your address.</p>
${toAccount}`,
  })

const toAccount = html`<a class="button quiet" href="/account">Go to your account</a>`
