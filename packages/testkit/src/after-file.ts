const jobs: (() => unknown)[] = []

/** Registers what is done after the test file; unlike vitest's `afterAll`, from within a test too. The last is done first. */
export const afterFile = (job: () => unknown): void => void jobs.push(job)

/** Does it, all of it; the first error is thrown after the last job. */
export const endFile = async (): Promise<void> => {
  const errors: unknown[] = []
  for (let job = jobs.pop(); job; job = jobs.pop())
    try {
      await job()
    } catch (error) {
      errors.push(error)
    }
  if (errors.length > 0) throw errors[0]
}
