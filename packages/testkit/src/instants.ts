/**
 * PostgreSQL's clock for SQL in tests, cut to the millisecond as the product cuts it. `timestamptz(3)` rounds: a bare
 * `clock_timestamp()` may be written half a millisecond ahead, and is not due in the next statement.
 */
export const nowSql = `date_trunc('milliseconds', clock_timestamp())`

/** Far enough that no rounding and no clock matters, and not so far that anything is late enough for an alert. */
const pastSql = `${nowSql} - interval '1 second'`

type Run = (text: string, values: unknown[]) => Promise<unknown>

/** Makes deliveries that are not settled due: their next attempt has come, and the lease of one under way has run out. */
export const makeDue = async (run: Run, deliveries: string | readonly string[] | undefined): Promise<void> => {
  await run(
    `UPDATE delivery SET next_attempt_at = least(next_attempt_at, ${pastSql}),
      leased_until = CASE WHEN leased_until IS NOT NULL THEN least(leased_until, ${pastSql}) END
    WHERE id = ANY ($1) AND settled_at IS NULL`,
    [[deliveries ?? []].flat()],
  )
}

/** Makes the next step of resources due, whatever it is, and leaves their other instants as they are. */
export const makeStepDue = async (run: Run, resources: string | readonly string[]): Promise<void> => {
  await run(`UPDATE resource SET due_at = least(due_at, ${pastSql}) WHERE id = ANY ($1)`, [[resources].flat()])
}
