import { type Html, html } from './html.ts'

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** From here on it is said how long is left, and not only until when. */
const near = 48 * hour

/** A length of time as one would say it: "20 minutes", "an hour", "2 days". */
export const inWords = (ms: number): string => {
  if (ms < minute) return 'less than a minute'
  const [unit, name] = ms < 90 * minute ? [minute, 'minute'] : ms < 36 * hour ? [hour, 'hour'] : [day, 'day']
  const count = Math.round(ms / unit)
  if (count > 1) return `${count} ${name}s`
  return name === 'hour' ? 'an hour' : `a ${name}`
}

const format = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'short', timeZone: 'UTC' })

/** "Wednesday 3 March 2027 at 14:05 UTC" */
export const inUtc = (at: Date): string => `${format.format(at)} UTC`

/** An instant in UTC, which the page's script says in the reader's own zone. */
export const instant = (at: Date): Html => html`<time datetime="${at.toISOString()}">${inUtc(at)}</time>`

/** Until when, and how long that is when it is near. */
export const until = (end: Date, now: Date): Html => {
  const left = end.getTime() - now.getTime()
  return html`${instant(end)}${left <= near && html` <span class="soon">expires in ${inWords(left)}</span>`}`
}

export type Role = 'member' | 'admin' | 'owner'

/** "a member" */
export const aRole = (role: Role): string => (role === 'member' ? 'a member' : `an ${role}`)

const browsers: [RegExp, string][] = [
  [/Edg(e|A|iOS)?\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/SamsungBrowser\//, 'Samsung Internet'],
  [/(Firefox|FxiOS)\//, 'Firefox'],
  [/(Chrome|CriOS|Chromium)\//, 'Chrome'],
  [/Version\/.+Safari\//, 'Safari'],
]

const systems: [RegExp, string][] = [
  [/iPhone|iPod/, 'an iPhone'],
  [/iPad/, 'an iPad'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'a Mac'],
  [/CrOS/, 'ChromeOS'],
  [/Linux/, 'Linux'],
]

/** A User-Agent header as one would say it: "Firefox on Linux". What is not known is told as it came, cut short. */
export const browserInWords = (agent: string | null): string => {
  if (!agent) return 'An unknown browser'
  const known = (names: [RegExp, string][]) => names.find(([pattern]) => pattern.test(agent))?.[1]
  const [browser, system] = [known(browsers), known(systems)]
  if (browser) return system ? `${browser} on ${system}` : browser
  return agent.length > 60 ? `${agent.slice(0, 60)}…` : agent
}
