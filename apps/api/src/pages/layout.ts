import { createHash } from 'node:crypto'
import { Html, html } from './html.ts'

// One column on a quiet ground. Every text has a contrast of 4.5 and more against what is behind it, every outline of
// a control 3 and more, in light and in dark; every control is at least 44 pixels high.
const style = `
:root{color-scheme:light dark;--ground:#f5f3ee;--card:#fffefb;--text:#201e1a;--soft:#5f5b53;--line:#e2ded4;--edge:#878277;--act:#1d5a49;--on-act:#fff;--act-over:#14463a;--soon:#8a4600;--wrong:#a8201a}
@media (prefers-color-scheme:dark){:root{--ground:#131311;--card:#1c1c19;--text:#edebe5;--soft:#b0aca2;--line:#35342f;--edge:#807c72;--act:#8fd0ba;--on-act:#0b211a;--act-over:#b0e2d0;--soon:#f2b56b;--wrong:#ff9d94}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100svh;display:flex;flex-direction:column;padding:1rem;background:var(--ground);color:var(--text);font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere;-webkit-text-size-adjust:100%}
main{width:100%;max-width:34rem;margin:auto;padding:1.75rem 1.25rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
h1{margin:0 0 1rem;font:500 1.875rem/1.2 ui-serif,Georgia,"Noto Serif",serif;letter-spacing:-.01em;text-wrap:balance}
h1 small{display:block;margin-bottom:.35rem;font:1rem/1.45 system-ui,sans-serif;letter-spacing:0;color:var(--soft)}
h1.long{font-size:1.25rem}
h2{margin:1.75rem 0 .5rem;font-size:1rem;line-height:1.4}
p,ul,blockquote{margin:0 0 1rem}
ul{padding-left:1.2rem}
li{margin-bottom:.25rem}
p,li{text-wrap:pretty}
p bdi,li bdi{font-weight:600}
a{color:var(--act)}
.soft,dt{color:var(--soft)}
.soft{font-size:.9375rem}
.after{margin-top:1.5rem}
main>:last-child{margin-bottom:0}
.soon{color:var(--soon);font-weight:600;display:block}
blockquote{padding-inline-start:1rem;border-inline-start:3px solid var(--line);white-space:pre-line}
dl{margin:1.25rem 0;border-top:1px solid var(--line)}
dl div{display:grid;grid-template-columns:3.5rem 1fr;gap:.75rem;padding:.55rem 0;border-bottom:1px solid var(--line)}
dd{margin:0;min-width:0}
form{margin:1.5rem 0 0}
main>.button{margin-top:.5rem}
label{display:block;margin-bottom:.35rem;font-weight:600}
input{width:100%;min-height:3rem;padding:.5rem .75rem;font:inherit;color:inherit;background:var(--card);border:1px solid var(--edge);border-radius:.5rem}
[aria-invalid]{border:2px solid var(--wrong)}
.wrong{margin:0 0 .5rem;color:var(--wrong);font-weight:600}
.acts{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.5rem}
.acts form{margin:0}
button,.button{display:inline-flex;align-items:center;justify-content:center;min-height:3rem;padding:.5rem 1.5rem;font:600 1rem/1.3 system-ui,sans-serif;text-align:center;text-decoration:none;color:var(--on-act);background:var(--act);border:1px solid transparent;border-radius:.5rem;cursor:pointer}
button:hover,.button:hover{background:var(--act-over)}
.quiet{color:var(--text);background:none;border-color:var(--edge);font-weight:500}
.quiet:hover{color:var(--text);background:var(--line)}
:focus-visible{outline:3px solid var(--act);outline-offset:3px;border-radius:.25rem}
button:focus-visible,.button:focus-visible,input:focus-visible{border-radius:.5rem}
.rows{list-style:none;padding:0;border-top:1px solid var(--line)}
.rows>li{margin:0;padding:1rem 0;border-bottom:1px solid var(--line)}
.rows p{margin:0}
.rows .acts{margin-top:.75rem}
.rows button{min-height:2.75rem;padding:.4rem 1.1rem}
@media (max-width:29.99rem){main>form>.acts>*,main>form>button,main>.button{width:100%}}
@media (min-width:40rem){main{padding:2.5rem}h1{font-size:2.125rem}}
@media (prefers-reduced-motion:no-preference){button,.button{transition:background-color .15s}}
`

// Times stay in UTC where it does not run. A link that signs in works once, so the second half of a double click must not
// take the place of the first.
const script = `
let sent = -Infinity
addEventListener('submit', (event) => {
  if (event.timeStamp - sent < 2000) event.preventDefault()
  else sent = event.timeStamp
})
const english = navigator.languages.find((language) => /^en\\b/i.test(language)) ?? 'en'
const format = new Intl.DateTimeFormat(english, { weekday: 'long', day: 'numeric', month: 'long',
  year: 'numeric', hour: 'numeric', minute: '2-digit', timeZoneName: 'short' })
for (const time of document.querySelectorAll('time')) time.textContent = format.format(new Date(time.dateTime))
`

const hashOf = (source: string): string => `'sha256-${createHash('sha256').update(source).digest('base64')}'`

/** For every page: its own style and script and nothing else, forms that lead nowhere else, and no frame around it. */
export const contentSecurityPolicy = `default-src 'none'; style-src ${hashOf(style)}; script-src ${hashOf(script)}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`

/** The title stands in the tab and in the browser's history, so it never names anybody. It is the heading where that is ours alone. */
type Page = { body: Html } & ({ heading: string; title?: string } | { heading: Html; title: string })

/** A whole document. Its forms without an action post to the address it was opened at, so no page has to write a token down. */
export const page = ({ heading, title = String(heading), body }: Page): string =>
  html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="theme-color" media="(prefers-color-scheme:light)" content="#f5f3ee">
<meta name="theme-color" media="(prefers-color-scheme:dark)" content="#131311">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body>
<main>
${heading instanceof Html ? heading : html`<h1>${heading}</h1>`}
${body}
</main>
<script>${new Html(script)}</script>
</body>
</html>
`.toString()
