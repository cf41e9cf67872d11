import { html } from './html.ts'
import { page } from './layout.ts'

/** At GET of the link in a reminder. It names nobody: mails are passed on. */
export const unsubscribePage = (): string =>
  page({
    heading: 'No more reminders?',
    body: html`<p>Press the button, and the address that the reminder went to gets no more of them. What is about to end then ends without a word before.</p>
<form method="post"><button>Stop the reminders</button></form>
<p class="soft after">Everything else still arrives: links to sign in, invitations, and word of what has ended.</p>`,
  })

export const unsubscribedPage = (): string =>
  page({
    heading: 'No more reminders',
    body: html`<p>The address that the reminder went to gets no more of them. Everything else still arrives.</p>
<p class="soft">If that was a mistake, ask whoever sent it to lift it. You can close this page.</p>`,
  })

/** The one page, status 404, for every link that does not work, whatever the reason. */
export const invalidUnsubscribePage = (): string =>
  page({
    heading: 'This link does not work',
    body: html`<p>It may have been cut short on its way here. Open it from the mail once more, or copy all of it.</p>
<p>If it still does not work, tell whoever it comes from that you want no reminders.</p>`,
  })
