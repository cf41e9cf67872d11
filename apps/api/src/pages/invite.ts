import { type Html, html, tame, theirs } from './html.ts'
import { page } from './layout.ts'
import { type Asked, emailField, titleOf } from './sign-in.ts'
import { aRole, instant, type Role, until } from './words.ts'

const title = 'Your invitation'

export interface Invitation {
  organization: string
  inviter: string | null
  /** Whom it is for. */
  email: string
  role: Role
  message?: string | null | undefined
  expiresAt: Date
  /** By the database's clock. */
  now: Date
  /** No seat is free, so that joining would be refused. */
  full?: boolean | undefined
}

/** Only for who is signed in with the address it is for. */
export const invitePage = ({ organization, inviter, email, role, message, expiresAt, now, full }: Invitation): string =>
  page({
    title,
    heading: named(
      inviter === null ? 'You are invited to join' : html`${theirs(inviter)} invites you to join`,
      organization,
    ),
    body: html`${message && html`<blockquote dir="auto">${tame(message)}</blockquote>`}
<dl>
<div><dt>As</dt><dd>${aRole(role)}</dd></div>
<div><dt>For</dt><dd>${theirs(email)}</dd></div>
<div><dt>Until</dt><dd>${until(expiresAt, now)}</dd></div>
</dl>
${full ? noSeat : whatHappens(role)}
<form method="post"><div class="acts">
${full ? html`<a class="button" href="">Look again</a>` : html`<button name="action" value="join">Join</button>`}
<button class="quiet" name="action" value="decline">Decline</button>
</div></form>
<p class="soft after">Not expecting this? Decline, or close this page and let the invitation run out.</p>`,
  })

const whatHappens = (role: Role) => html`<h2>What happens when you join</h2>
<ul>
<li>You become ${aRole(role)} at once, with this account.</li>
<li>The people who run it see that you have joined.</li>
<li>The invitation is used up.</li>
</ul>`

const noSeat = html`<h2>No seat is free just now</h2>
<p>Your invitation stays good until the time above. Ask whoever invited you to make room, then look again.</p>`

/** A sentence that ends in a name somebody chose, which may be very long. */
const named = (words: string | Html, name: string) =>
  html`<h1${name.length > 50 && html` class="long"`}><small>${words}</small> ${theirs(name)}</h1>`

/** To who was a member before. */
export const alreadyMemberPage = ({ organization }: { organization: string }): string =>
  page({
    title,
    heading: named('You are already a member of', organization),
    body: html`<p>There is nothing left to do. You can close this page.</p>
${toAccount}`,
  })

export const joinedPage = ({ organization, role }: { organization: string; role: Role }): string =>
  page({
    title: 'You have joined',
    heading: named('Welcome to', organization),
    body: html`<p>You are now ${aRole(role)}. The invitation is used up; you do not need its link any more.</p>
${toAccount}`,
  })

/** Without the name where it is not at hand. */
export const declinedPage = ({ organization }: { organization?: string | undefined } = {}): string =>
  page({
    title: 'You have declined',
    heading:
      organization === undefined ? html`<h1>You have declined</h1>` : named('You have declined to join', organization),
    body: html`<p>The invitation has ended. If you change your mind, ask for a new one.</p>
${toAccount}`,
  })

export interface Full {
  organization: string
  /** Where Join was pressed: on the invitation's own page, whose address this one has too, or in the account. */
  from?: 'invitation' | 'account' | undefined
}

/** To who pressed Join when the last seat was taken. */
export const fullPage = ({ organization, from = 'invitation' }: Full): string =>
  page({
    title: 'No seat is free',
    heading: named('No seat is free just now in', organization),
    body: html`<p>Nothing is lost: your invitation still works. Ask whoever invited you to make room, then try again.</p>
${from === 'account' ? toAccount : html`<a class="button" href="">Back to the invitation</a>`}`,
  })

const toAccount = html`<a class="button quiet" href="/account">Go to your account</a>`

export interface WrongAccount {
  signedInAs: string
  /** `unverified-elsewhere`: the account is the host application's, and no link of ours confirms its address. */
  reason: 'other-address' | 'unverified' | 'unverified-elsewhere'
}

export const wayOut = {
  'other-address': 'Sign out, then sign in with the address it was sent to.',
  unverified:
    'Sign out, then sign in again: we send you a link, and by opening it you confirm that the address is yours.',
  'unverified-elsewhere': 'Confirm it where you have your account, then come back here.',
}

/** Tells nothing about the invitation but that. */
export const wrongAccountPage = ({ signedInAs, reason }: WrongAccount): string =>
  page({
    title,
    heading:
      reason === 'other-address' ? 'This invitation was sent to another address' : 'Your address is not confirmed yet',
    body: html`<p>You are signed in as ${theirs(signedInAs)}.</p>
<p>${wayOut[reason]}</p>
<form method="post"><button name="action" value="sign-out"${reason === 'unverified-elsewhere' && html` class="quiet"`}>${reason === 'unverified' ? 'Sign out' : 'Sign out and use another'}</button></form>`,
  })

/** To who is signed out. Tells nothing about the invitation. */
export const inviteSignInPage = (asked: Asked = {}): string =>
  page({
    title: titleOf(title, asked),
    heading: 'You have been invited',
    body: html`<p>To see the invitation, sign in with the address it was sent to. We send you a link; there is no password.</p>
<form method="post">
${emailField(asked)}
<div class="acts"><button name="action" value="sign-in">Send me a link</button></div>
</form>`,
  })

const request = html`<form method="post"><button name="action" value="request">Ask for a new invitation</button></form>`

/** Only for who is signed in with the address it was for. */
export const expiredInvitePage = ({ organization, expiredAt }: { organization: string; expiredAt: Date }): string =>
  page({
    title,
    heading: 'This invitation has expired',
    body: html`<p>It was to join ${theirs(organization)}, and was open until ${instant(expiredAt)}.</p>
<p>You can ask whoever invited you for a new one.</p>
${request}`,
  })

/** The one page, status 404, for every invitation that does not work, whatever the reason. */
export const invalidInvitePage = (): string =>
  page({
    title,
    heading: 'This invitation does not work',
    body: html`<p>It may have expired, have been used or withdrawn, or have been replaced by a newer one. It may also have been cut short on its way here: try the link in the mail once more.</p>
${request}`,
  })

/** 404, in the account, where it stood a moment ago. */
export const goneInvitePage = (): string =>
  page({
    heading: 'This invitation has ended',
    body: html`<p>It has expired, or was used or withdrawn, since your account was shown.</p>
${toAccount}`,
  })

/** The same whether there was such an invitation or not. */
export const requestedPage = (): string =>
  page({
    title,
    heading: 'Thank you',
    body: html`<p>If this invitation can be renewed, whoever is responsible for it has been told. Otherwise ask them yourself.</p>
<p>A new one would come by mail. You can close this page.</p>`,
  })
