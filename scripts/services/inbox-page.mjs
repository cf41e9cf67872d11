import { randomBytes } from 'node:crypto'

/** The page allows its own style, script and frame; a mail (no nonce) allows no script, no form, and nothing from outside. */
export const policy = (nonce) =>
  nonce
    ? `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
    : "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"

const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d8dbe2, #383d48); --soft: light-dark(#5b6270, #a3aab8); --link: light-dark(#1a4fb4, #8ab4ff) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 1.5rem 1rem; background: light-dark(#fff, #16181d); color: light-dark(#1b1e25, #e8eaf0) }
h1 { font-size: 1.4rem; margin: 0 0 1rem; overflow-wrap: anywhere }
a { color: var(--link) }
a:focus-visible, button:focus-visible, iframe:focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
ul { list-style: none; margin: 0; padding: 0 }
li { border-top: 1px solid var(--line); padding: .7rem 0; overflow-wrap: anywhere }
.soft, dt { color: var(--soft); font-size: .9rem }
header { display: flex; justify-content: space-between; align-items: start; gap: 1rem }
button { font: inherit; min-height: 44px; padding: .2rem .8rem; border: 1px solid var(--line); border-radius: .4rem; background: transparent; color: inherit; cursor: pointer }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 1rem } dd { margin: 0; overflow-wrap: anywhere }
iframe { box-sizing: border-box; width: 100%; height: 50vh; resize: vertical; border: 1px solid var(--line); border-radius: .4rem; background: #fff; color-scheme: light }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-top: 1px solid var(--line); padding-top: 1rem }`

/** Shows new mail without being asked, and without moving the reader's focus. */
const LIST_SCRIPT = `
const list = document.querySelector('main')
const refresh = async () => {
  const page = new DOMParser().parseFromString(await (await fetch('/')).text(), 'text/html').querySelector('main')
  if (page.innerHTML !== list.innerHTML) list.innerHTML = page.innerHTML
}
setInterval(() => refresh().catch(() => {}), 2000)
document.querySelector('button').onclick = () =>
  confirm('Delete all mails for good?') && fetch('/api/mails', { method: 'DELETE' }).then(refresh)`

const layout = (title, body, script = '') => {
  const nonce = randomBytes(16).toString('base64')
  const html = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title><style nonce="${nonce}">${STYLE}</style></head>
<body>${body}<script nonce="${nonce}">${script}</script></body>
</html>`
  return { html, nonce }
}

/** Plain text, with its addresses as links; a full stop or a bracket after one is not part of it. */
const linked = (text) =>
  text
    .split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]'])/)
    .map((part, i) =>
      i % 2 ? `<a href="${escapeHtml(part)}" target="_blank">${escapeHtml(part)}</a>` : escapeHtml(part),
    )
    .join('')

const when = (at) => `<time datetime="${at}">${at.slice(0, 10)} ${at.slice(11, 19)} UTC</time>`
const subject = (mail) => escapeHtml(mail.subject || '(no subject)')

export const listPage = (mails) => {
  const item = (mail) =>
    `<li><a href="/mails/${mail.id}">${subject(mail)}</a><div class="soft">to ${escapeHtml(mail.to.join(', '))} · ${when(mail.at)}</div></li>`
  const list = mails.length
    ? `<ul>${mails.map(item).join('')}</ul>`
    : '<p>No mail yet. What Lapse sends will appear here.</p>'
  return layout(
    'Inbox',
    `<header><h1>Inbox</h1><button type="button">Delete all</button></header><main aria-live="polite">${list}</main>`,
    LIST_SCRIPT,
  )
}

export const mailPage = (mail) => {
  const rows = [
    ['From', escapeHtml(mail.from)],
    ['To', escapeHtml(mail.to.join(', '))],
    ['Arrived', when(mail.at)],
    ['Message-ID', escapeHtml(mail.messageId)],
  ]
  const frame = `<iframe src="/mails/${mail.id}/html" sandbox="allow-popups allow-popups-to-escape-sandbox" title="The mail as HTML"></iframe>`
  return layout(
    mail.subject || 'Mail',
    `<nav><a href="/">Inbox</a></nav><main><h1>${subject(mail)}</h1>
<dl>${rows.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join('')}</dl>
${mail.html ? frame : ''}<pre>${linked(mail.text)}</pre></main>`,
  )
}

/** The mail's own HTML; its links open outside of the frame, which may not go anywhere. */
export const mailDocument = ({ html }) => `<!doctype html><base target="_blank">${html}`
