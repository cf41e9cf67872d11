import { html, tame, theirs } from './html.ts'
import { type WrongAccount, wayOut } from './invite.ts'
import { page } from './layout.ts'
import { aRole, browserInWords, instant, inUtc, type Role, until } from './words.ts'

export interface PendingInvitation {
  id: string
  organization: string
  inviter: string | null
  role: Role
  expiresAt: Date
}

export interface OwnMembership {
  organization: string
  role: Role
}

export interface OpenSession {
  id: string
  /** The User-Agent header it was opened with. */
  agent: string | null
  issuedAt: Date
  expiresAt: Date
  /** The one this page is shown in. */
  current: boolean
}

export interface Account {
  email: string
  /** Why no invitation is shown, if the address is not confirmed. */
  unconfirmed?: Exclude<WrongAccount['reason'], 'other-address'> | undefined
  memberships: readonly OwnMembership[]
  invitations: readonly PendingInvitation[]
  sessions: readonly OpenSession[]
  /** By the database's clock. */
  now: Date
}

/** At /account. */
export const accountPage = ({ email, unconfirmed, memberships, invitations, sessions, now }: Account): string =>
  page({
    heading: 'Your account',
    body: html`<p>You are signed in as ${theirs(email)}.</p>
<h2>Invitations</h2>
${unconfirmed ? confirmFirst(unconfirmed) : waiting(invitations, now)}
${
  memberships.length > 0 &&
  html`<h2>Where you are a member</h2>
<ul class="rows">${memberships.map(membershipRow)}</ul>`
}
<h2>Where you are signed in</h2>
<ul class="rows">${sessions.map(sessionRow)}</ul>
<form method="post" action="/sessions/revoke"><button class="quiet">Sign out everywhere</button></form>`,
  })

const confirmFirst = (reason: keyof typeof wayOut) => html`<p>Your address is not confirmed yet, so none are shown.</p>
<p>${wayOut[reason]}</p>
${reason === 'unverified' && html`<form method="post" action="/sign-out"><button>Sign out</button></form>`}`

const waiting = (invitations: readonly PendingInvitation[], now: Date) =>
  invitations.length > 0
    ? html`<ul class="rows">${invitations.map((one) => invitationRow(one, now))}</ul>`
    : html`<p class="soft">None are waiting for you.</p>`

const membershipRow = ({ organization, role }: OwnMembership) => html`
<li><p>${theirs(organization)}</p>
<p class="soft">As ${aRole(role)}</p></li>`

const invitationRow = ({ id, organization, inviter, role, expiresAt }: PendingInvitation, now: Date) => html`
<li><p>${theirs(organization)}</p>
<p class="soft">${inviter === null ? 'You are invited' : html`${theirs(inviter)} invites you`} as ${aRole(role)}<br>Until ${until(expiresAt, now)}</p>
<form class="acts" method="post" action="/invites/${encodeURIComponent(id)}">
<button name="action" value="join" aria-label="Join ${tame(organization)}">Join</button>
<button class="quiet" name="action" value="decline" aria-label="Decline ${tame(organization)}">Decline</button>
</form></li>`

const sessionRow = ({ id, agent, issuedAt, expiresAt, current }: OpenSession) => html`
<li><p>${theirs(browserInWords(agent))}${current && ', this browser'}</p>
<p class="soft">Since ${instant(issuedAt)}<br>Until ${instant(expiresAt)}</p>
<form class="acts" method="post" action="${current ? '/sign-out' : `/sessions/${encodeURIComponent(id)}/revoke`}">
<button class="quiet" aria-label="Sign out ${current ? 'here' : `${tame(browserInWords(agent))}, since ${inUtc(issuedAt)}`}">Sign out</button>
</form></li>`
