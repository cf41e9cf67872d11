import DataLoader from 'dataloader'
import { unabortable } from '../caller.ts'

/**
 * Reads rows by a key. Those asked for in one turn of the event loop are one statement, for under load a round trip for
 * each costs most of what reading one takes. Nobody waits for others, and nothing is kept: each statement begins after it
 * was asked for, so that what has ended by then is seen to have.
 */
export const gathered = <Row>(
  read: (keys: readonly string[]) => Promise<Row[]>,
  keyOf: (row: Row) => string | null,
): ((key: string) => Promise<Row | undefined>) => {
  const loader = new DataLoader<string, Row | undefined>(
    async (keys) => {
      const rows = new Map((await unabortable(() => read(keys))).map((row) => [keyOf(row), row]))
      return keys.map((key) => rows.get(key))
    },
    { cache: false, maxBatchSize: 100, batchScheduleFn: setImmediate },
  )
  return (key) => loader.load(key)
}
