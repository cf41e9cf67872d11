import { setTimeout as sleep } from 'node:timers/promises'

const EVERY_MS = 20

/**
 * Issues and checks every 20 ms, whether or not the one before has been answered: what has to wait is seen in full.
 * `apis` may change at any time; they take turns.
 */
export const startTraffic = (apis, token) => {
  const seen = { issue: [], check: [] }
  const errors = []
  const issued = []
  const open = new Set()
  let running = true
  const ask = async (what, path, body) => {
    const at = performance.now()
    const url = apis[Math.floor(Math.random() * apis.length)]
    try {
      const answer = await fetch(url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      const json = await answer.json()
      if (!answer.ok) throw new Error(`${answer.status} ${JSON.stringify(json)}`)
      seen[what].push({ at, ms: performance.now() - at })
      return json
    } catch (error) {
      errors.push(`${what}: ${error.cause?.message ?? error.message}`)
    }
  }
  const issue = async (i) => {
    // Every tenth ends while all this goes on.
    const made = await ask('issue', '/v1/resources', { kind: 'trial', expires_in: i % 10 ? 86_400 : 5, payload: {} })
    if (made) issued.push(made.id)
  }
  const check = () => issued.length > 0 && ask('check', `/v1/resources/${issued.at(-1)}/check`, {})
  const keep = (promise) => {
    const one = Promise.resolve(promise).finally(() => open.delete(one))
    open.add(one)
  }
  const going = (async () => {
    for (let i = 0, next = performance.now(); running; i += 1) {
      keep(issue(i))
      keep(check())
      next += EVERY_MS
      await sleep(Math.max(0, next - performance.now()))
    }
    await Promise.all(open)
  })()
  return {
    errors,
    issued,
    /** The longest, the usual and how many of what began since `since`. */
    measured: (what, since = 0) => {
      const ms = seen[what].filter(({ at }) => at >= since).map((one) => one.ms)
      ms.sort((a, b) => a - b)
      return {
        count: ms.length,
        median: ms[ms.length >> 1] ?? 0,
        p99: ms[Math.floor(ms.length * 0.99)] ?? 0,
        longest: ms.at(-1) ?? 0,
      }
    },
    /** Waits until all that have been asked are answered. */
    settled: () => Promise.all(open),
    stop: async () => {
      running = false
      await going
    },
  }
}
