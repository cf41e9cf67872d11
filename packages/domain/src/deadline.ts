/** What `running` answers, or an error that says it took too long. What is late goes on, unheard. */
export const withDeadline = async <T>(running: Promise<T> | T, deadlineMs: number): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not finish within ${deadlineMs / 1000} seconds`)), deadlineMs)
  })
  return Promise.race([running, late]).finally(() => clearTimeout(timer))
}
