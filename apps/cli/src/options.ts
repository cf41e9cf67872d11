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
