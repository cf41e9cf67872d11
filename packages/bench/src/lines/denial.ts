import { openClient } from '../client.ts'
import { addresses, type Denied, deniedInvites, deniedLinks, notSwept } from '../denied.ts'
import { type Ground, onFreshGround } from '../ground.ts'
import { type Figure, type Line, median, type Observed, times } from '../measure.ts'
import { withApi } from '../processes.ts'
import { toldApart } from '../told-apart.ts'

/** Classes that must not be told apart from `unknown`, which the first two are. */
interface Family {
  readonly what: string
  readonly kind: 'invite' | 'verification'
  readonly path: string
  readonly headers?: Record<string, string>
  readonly bodyOf: (given: string) => object
  /** How often each class is asked for, and how often before that without being counted. */
  readonly rounds: number
  readonly warmUp: number
  readonly classes: readonly Denied[]
}

/** The same token is refused ten times before its limit is. */
const tries = 8
const most = 0.1

/** How long it takes to be told no, and whether that tells why. */
export const denial: Line = ({ quick }) =>
  onFreshGround(async (ground) => {
    const families = await familiesOf(ground, quick)
    const problems: string[] = []
    const observed = new Map<Family, Observed[]>()
    await withApi(ground, async (url) => {
      const client = openClient(url)
      try {
        for (const family of families) {
          const { path, bodyOf, headers, what } = family
          const { samples, answers } = await askAll(family, (given) => client.post(path, bodyOf(given), headers))
          observed.set(family, observe(family, samples))
          if (answers.size > 1) problems.push(`denial: answers differ for ${what}:\n${[...answers].join('\n\n')}`)
        }
      } finally {
        client.close()
      }
    })
    problems.push(...(await verify(ground, families)))
    return {
      figures: families.map((family) => figureOf(family, observed.get(family) ?? [])),
      observed: [...observed.values()].flat(),
      problems,
    }
  })

const familiesOf = async (ground: Ground, quick: boolean): Promise<Family[]> => {
  const often = { rounds: quick ? 100 : 300, warmUp: 20 }
  const tokens = Math.ceil((often.rounds + often.warmUp) / tries)
  const { lapse } = ground
  const { id: userId } = await lapse.users.create({ email: 'somebody@example.com', verified: true })
  const { token: session } = await lapse.sessions.issue({ userId })
  const invite: Family = {
    what: 'invite',
    kind: 'invite',
    path: '/v1/invites/accept',
    headers: { authorization: `Bearer ${session}` },
    bodyOf: (token) => ({ token }),
    ...often,
    classes: await deniedInvites(ground, tokens),
  }
  const link: Family = {
    what: 'magic link',
    kind: 'verification',
    path: '/v1/sessions',
    bodyOf: (token) => ({ token }),
    ...often,
    classes: await deniedLinks(ground, tokens),
  }
  if (quick) return [invite, link]
  // Each takes a quarter of a second, for that is how the answer hides what was done.
  const rarely = { rounds: 50, warmUp: 3 }
  const signIn: Family = {
    what: 'sign-in',
    kind: 'verification',
    path: '/v1/sign-in',
    bodyOf: (email) => ({ email }),
    ...rarely,
    classes: await addresses(ground, rarely.rounds + rarely.warmUp),
  }
  return [invite, link, signIn]
}

/** Asks once for each class in each round, in another order each time. */
const askAll = async (
  { classes, rounds, warmUp }: Family,
  ask: (given: string) => Promise<{ readonly ms: number; readonly seen: string }>,
) => {
  const samples = classes.map((): number[] => [])
  const answers = new Set<string>()
  for (let round = 0; round < warmUp + rounds; round++) {
    for (const i of shuffled(classes.length)) {
      const { given = [] } = classes[i] ?? {}
      const { ms, seen } = await ask(given[round % given.length] ?? '')
      answers.add(seen)
      if (round >= warmUp) samples[i]?.push(ms)
    }
  }
  return { samples, answers }
}

const shuffled = (count: number): number[] =>
  times(count, (i) => ({ i, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ i }) => i)

const observe = ({ what, classes }: Family, samples: readonly number[][]): Observed[] => {
  const [half = [], otherHalf = [], ...rest] = samples
  const one = (name: string, sample: readonly number[], other: string, against: readonly number[]): Observed => ({
    line: 'denial',
    what: `${what}: ${name}`,
    other,
    medianMs: median(sample),
    slowerByMs: median(sample) - median(against),
    samples: sample,
    ...toldApart(sample, against),
  })
  return [
    one('unknown', half, 'unknown, the other half', otherHalf),
    ...rest.map((sample, i) => one(classes[i + 2]?.name ?? '', sample, 'unknown', [...half, ...otherHalf])),
  ]
}

const figureOf = ({ what }: Family, [control, ...others]: readonly Observed[]): Figure => {
  const off = (one?: Observed) => Math.abs((one?.auc ?? Number.NaN) - 0.5)
  const [worst] = [...others].sort((a, b) => off(b) - off(a))
  const value = off(worst)
  const name = worst?.what.slice(`${what}: `.length)
  return {
    line: 'denial',
    what: `${what}, AUC of ${others.length > 1 ? `the worst of ${others.length}, ` : ''}${name}`,
    unit: 'off 0.5',
    value,
    yardstick: { what: 'unknown against itself', value: off(control) },
    target: { what: `≤ ${most} off 0.5`, met: value <= most },
  }
}

/** Says when something was denied for another reason than its class has, or was expired on the way. */
const verify = async ({ pool }: Ground, families: readonly Family[]): Promise<string[]> => {
  const counts = new Map<string, number>()
  const count = (what: string, by: number) => counts.set(what, (counts.get(what) ?? 0) + by)
  for (const { kind, classes, rounds, warmUp } of families)
    for (const { name, reason, given } of classes) {
      count(`${kind} ${reason}`, -(warmUp + rounds))
      if (name === notSwept) count(`${kind} ${notSwept}`, -given.length)
    }
  const { rows } = await pool.query<{ what: string; n: number }>(
    `SELECT kind || ' ' || reason AS what, count(*)::int AS n FROM event WHERE type = 'refused' GROUP BY 1
    UNION ALL SELECT kind || ' ' || event, count(*)::int FROM delivery WHERE event = 'issued' GROUP BY 1
    UNION ALL SELECT kind || ' ' || $1, count(*)::int FROM resource
      WHERE status = 'active' AND ends_at <= clock_timestamp() GROUP BY 1`,
    [notSwept],
  )
  for (const { what, n } of rows) count(what, n)
  return [...counts]
    .filter(([, n]) => n !== 0)
    .map(([what, n]) => `denial: ${Math.abs(n)} ${n > 0 ? 'too many' : 'too few'} ${what}`)
}
