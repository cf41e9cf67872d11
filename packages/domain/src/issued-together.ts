import { setImmediate as turn } from 'node:timers/promises'
import { asCaller, type Caller, currentCaller } from './caller.ts'
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
  const gathering = new Map<string, { readonly parts: Part[]; readonly rows: Promise<readonly (Row | Error)[]> }>()

  const alone = ({ draft, caller }: Part, by: By) =>
    asCaller(caller, () => insert([draft], by)).then(
      ([row]) => row as Row | Error,
      (error: Error) => error,
    )

  const send = async (parts: readonly Part[], by: By): Promise<readonly (Row | Error)[]> => {
    const [first] = parts
    if (!first || parts.length === 1) return first ? [await alone(first, by)] : []
    const late = firstDeadline(parts)
    const drafts = parts.map(({ draft }) => draft)
    // They have one actor, and so one owner.
    return asCaller({ owner: first.caller.owner, signal: late.signal }, () => insert(drafts, by))
      .catch((error: Error) => {
        // One of them does not fit, and nobody knows which, or one has given up: each for itself, so that it harms nobody else.
        if (isRefusal(error) || late.signal.aborted) return Promise.all(parts.map((part) => alone(part, by)))
        throw error
      })
      .finally(late.forget)
  }

  return async (draft, by) => {
    const why = JSON.stringify([by.actor, by.reason])
    let group = gathering.get(why)
    if (!group || group.parts.length === most) {
      const parts: Part[] = []
      const rows = turn().then(() => {
        if (gathering.get(why)?.parts === parts) gathering.delete(why)
        return send(parts, by)
      })
      group = { parts, rows }
      gathering.set(why, group)
    }
    const place = group.parts.push({ draft, caller: currentCaller() }) - 1
    const row = (await group.rows)[place]
    if (row instanceof Error) throw row
    return row as Row
  }
}

interface Part {
  readonly draft: Draft
  readonly caller: Caller
}

/**
 * Aborted when one of them is answered that it took too long: what it is told has not happened must not happen. A client that
 * went away is told nothing, and stops nobody.
 */
const firstDeadline = (parts: readonly Part[]) => {
  const late = new AbortController()
  const look = () => {
    if (parts.some(({ caller: { signal } }) => signal?.aborted && signal.reason?.name === 'TimeoutError')) late.abort()
  }
  const signals = parts.flatMap(({ caller: { signal } }) => signal ?? [])
  for (const signal of signals) signal.addEventListener('abort', look)
  look()
  const forget = () => {
    for (const signal of signals) signal.removeEventListener('abort', look)
  }
  return { signal: late.signal, forget }
}
