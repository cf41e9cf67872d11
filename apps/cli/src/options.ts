import { InvalidArgumentError } from 'commander'
import { type Duration, durationMs } from 'lapse'

/** For an option that is a whole number. */
export const whole =
  (least: number, most: number) =>
  (text: string): number => {
    if (/^\d+$/.test(text) && Number(text) >= least && Number(text) <= most) return Number(text)
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }

/** For an option that is a duration, in milliseconds. */
export const duration = (text: string): number => {
  try {
    return durationMs(text as Duration)
  } catch {
    throw new InvalidArgumentError('It must be a duration, such as 90d, 12h or 30m.')
  }
}

/** For an option that may be given several times. */
export const several = (text: string, before: string[] = []): string[] => [...before, text]

/** For an option that is an instant, or how long ago it was. */
export const instant = (text: string): Date => {
  if (/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/i.test(text) && !Number.isNaN(Date.parse(text))) return new Date(text)
  try {
    return new Date(Date.now() - durationMs(text as Duration))
  } catch {
    throw new InvalidArgumentError('It must be an instant such as 2026-12-01T10:00:00Z, or how long ago: 2h, 7d.')
  }
}
