/** How well an observer tells one class from another by how long it takes. */
export interface ToldApart {
  /** How likely a random one of it takes longer than a random one of the other: Mann–Whitney's U by n·m. At 0.5 not at all. */
  readonly auc: number
  /** The interval that has it in 95 % of cases. */
  readonly low: number
  readonly high: number
}

/** The interval is normal, with the variance after DeLong, which does not take the two for alike. */
export const toldApart = (sample: readonly number[], other: readonly number[]): ToldApart => {
  const above = sample.map((ms) => shareBelow(ms, other))
  const below = other.map((ms) => shareBelow(ms, sample))
  const auc = mean(above)
  const margin = 1.96 * Math.sqrt(variance(above) / sample.length + variance(below) / other.length)
  return { auc, low: Math.max(0, auc - margin), high: Math.min(1, auc + margin) }
}

/** Ties count half. */
const shareBelow = (value: number, others: readonly number[]): number =>
  mean(others.map((other) => (other < value ? 1 : other === value ? 0.5 : 0)))

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const variance = (values: readonly number[]): number => {
  const center = mean(values)
  return values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1)
}
