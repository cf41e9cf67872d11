import { setImmediate as turn } from 'node:timers/promises'
import { isRefusal } from './database.ts'
import type { By } from './input.ts'
import type { Draft } from './store/issue.ts'

/** As many as share a statement at most. */
const most = 50

/**
 * What is issued in one turn of the event loop, by the same actor and for the same reason, is one statement in which each is
 * judged by itself: under load the round trip and the commit cost most of what issuing one takes. Only for drafts that wait
 * for nobody, or one would keep the others waiting.
 */
export const issuedTogether = <Row>(
  insert: (drafts: readonly Draft[], by: By) => Promise<readonly (Row | Error)[]>,
): ((draft: Draft, by: By) => Promise<Row>) => {
  const gathering = new Map<string, { readonly drafts: Draft[]; readonly rows: Promise<readonly (Row | Error)[]> }>()

  const alone = (draft: Draft, by: By) =>
    insert([draft], by).then(
      ([row]) => row as Row | Error,
      (error: Error) => error,
    )

  const send = (drafts: readonly Draft[], by: By): Promise<readonly (Row | Error)[]> =>
    insert(drafts, by).catch((error: Error) => {
      // One of them does not fit, and nobody knows which: each for itself, so that it harms nobody else.
      if (drafts.length > 1 && isRefusal(error)) return Promise.all(drafts.map((draft) => alone(draft, by)))
      throw error
    })

  return async (draft, by) => {
    const why = JSON.stringify([by.actor, by.reason])
    let group = gathering.get(why)
    if (!group || group.drafts.length === most) {
      const drafts: Draft[] = []
      const rows = turn().then(() => {
        if (gathering.get(why)?.drafts === drafts) gathering.delete(why)
        return send(drafts, by)
      })
      group = { drafts, rows }
      gathering.set(why, group)
    }
    const place = group.drafts.push(draft) - 1
    const row = (await group.rows)[place]
    if (row instanceof Error) throw row
    return row as Row
  }
}
