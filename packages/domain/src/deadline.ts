export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
}

/**
 * What `running` answers, or an error that says it took longer than `allowedMs`: `deadlineMs`, unless part of that was used
 * up before. Does not cancel the work; its later result is ignored.
 */
export const withDeadline = async <T>(
  running: Promise<T> | T,
  deadlineMs: number,
  allowedMs = deadlineMs,
): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new DeadlineError(`it did not finish within ${allowedMs / 1000} seconds`)),
      deadlineMs,
    )
  })
  return Promise.race([running, late]).finally(() => clearTimeout(timer))
}
