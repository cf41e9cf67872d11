import { onFreshGround } from '../ground.ts'
import { type Figure, inFlight, median, rateOf } from '../measure.ts'
import { type Identity, lapseIdentity, withBetterAuth } from './better-auth.ts'
import { versionOf } from './load.ts'

const width = 10

/** API keys verified and invitations accepted, by Lapse and by better-auth, in the process that asks. */
export const measureIdentity = async (quick: boolean, problems: string[]): Promise<Figure[]> => {
  const verified = quick ? 3_000 : 20_000
  const rounds = 3
  const each = quick ? 50 : 500
  const counts = { keys: quick ? 100 : 1_000, invitations: rounds * each }
  const name = `better-auth ${versionOf('better-auth')}`
  const timed = (title: string, { verify, accept }: Identity) => {
    let refused = 0
    const counted = (act: (i: number) => Promise<boolean>) => async (i: number) => {
      if (!(await act(i))) refused += 1
    }
    const rates = { verify: [] as number[], accept: [] as number[] }
    return {
      rates,
      warmUp: () => inFlight(counts.keys, width, counted(verify)),
      measure: async (round: number) => {
        rates.verify.push(await rateOf(verified, () => inFlight(verified, width, counted(verify))))
        const accepted = (i: number) => counted(accept)(round * each + i)
        rates.accept.push(await rateOf(each, () => inFlight(each, width, accepted)))
      },
      report: () => {
        if (refused > 0) problems.push(`${title}: ${refused} good keys or invitations were refused`)
      },
    }
  }
  return onFreshGround(async (ground) => {
    const identity = await lapseIdentity(ground, counts)
    return withBetterAuth(ground, counts, async (theirs) => {
      await ground.owner.query('ANALYZE')
      const [lapse, other] = [timed('Lapse', identity), timed(name, theirs)]
      for (const side of [lapse, other]) await side.warmUp()
      for (let round = 0; round < rounds; round++) for (const side of [lapse, other]) await side.measure(round)
      for (const side of [lapse, other]) side.report()
      return (['verify', 'accept'] as const).map((which) => ({
        line: 'peers',
        what: `${which === 'verify' ? 'verify an API key' : 'accept an invitation'}, ${width} in flight`,
        unit: '/s',
        value: median(lapse.rates[which]),
        rounds: lapse.rates[which],
        yardstick: { what: name, value: median(other.rates[which]) },
        ratio: median(lapse.rates[which]) / median(other.rates[which]),
      }))
    })
  })
}
