import { afterAll } from 'vitest'

const jobs: (() => unknown)[] = []

/** Registers what is done after the test file; unlike `afterAll`, from within a test too. The last is done first. */
export const afterFile = (job: () => unknown): void => void jobs.push(job)

afterAll(async () => {
  const errors: unknown[] = []
  for (const job of jobs.reverse())
    try {
      await job()
    } catch (error) {
      errors.push(error)
    }
  if (errors.length > 0) throw errors[0]
}, 60_000)
