import { type Bar, draw, type Plot } from '../plot.ts'
import { amount } from '../table.ts'
import type { Result } from './compare.ts'
import { type Aspect, aspects, growing } from './sum-up.ts'

/** All plots, by the name of their file. */
export const plotsOf = (results: readonly Result[], ends: number, pending: readonly number[]): Map<string, string> => {
  const wholes = aspects(ends).filter(({ part }) => !part)
  const whole = wholes.map((aspect) => {
    const groups = [{ bars: barsOf(results, aspect, (result) => aspect.of(result)) }]
    return [aspect.name, { ...headOf(aspect), groups }] as const
  })
  const growth = growing.map((aspect) => {
    const groups = pending.map((size) => ({
      label: `${size.toLocaleString('en')} pending`,
      bars: barsOf(results, aspect, ({ stages }) => {
        const stage = stages.find((stage) => stage.pending === size)
        return stage && aspect.of(stage)
      }),
    }))
    return [aspect.name, { ...headOf(aspect), groups }] as const
  })
  return new Map([...whole, ...growth].map(([name, plot]: readonly [string, Plot]) => [`${name}.svg`, draw(plot)]))
}

const headOf = ({ what, better }: Aspect<never>) => ({
  title: what.charAt(0).toUpperCase() + what.slice(1),
  note: `${better === 'less' ? 'Less' : 'More'} is better. In parentheses: times what Lapse has.`,
})

const barsOf = (
  results: readonly Result[],
  { unit }: Aspect<never>,
  of: (result: Result) => number | undefined,
): Bar[] => {
  const lapse = results.find(({ name }) => name === 'lapse')
  const ours = lapse && of(lapse)
  return results.flatMap((result) => {
    const value = of(result)
    if (value === undefined || !Number.isFinite(value)) return []
    const own = result === lapse
    const ratio = ours && !own ? ` (${(value / ours).toFixed(value / ours < 10 ? 2 : 0)})` : ''
    return [{ label: result.title, value: Math.max(0, value), text: `${amount(value, unit)}${ratio}`, own }]
  })
}
