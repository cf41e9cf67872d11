const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** A length of time as one would say it: "20 seconds", "an hour", "3 days". */
export const inWords = (ms: number): string => {
  const [unit, name] =
    ms < 90 * second
      ? [second, 'second']
      : ms < 90 * minute
        ? [minute, 'minute']
        : ms < 36 * hour
          ? [hour, 'hour']
          : [day, 'day']
  const count = Math.max(1, Math.round(ms / unit))
  if (count > 1) return `${count} ${name}s`
  return name === 'hour' ? 'an hour' : `a ${name}`
}

const format = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' })

/** An instant as one would write it: "3 March 2027 at 14:05 UTC". */
export const inFull = (instant: Date): string => `${format.format(instant)} UTC`
