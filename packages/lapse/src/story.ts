import type { Attempt, Delivery, Domain, Event, Resource, Step, Timer } from '@lapse/domain'
import { LapseError } from '@lapse/domain'
import type { StandingTimer, Timers } from '@lapse/queue'

/** All that is known of one resource. */
export interface Story {
  readonly id: string
  /** `undefined` when it was purged: its events stay. */
  readonly resource: Resource | undefined
  /** What happens next, and when. */
  readonly next: { readonly step: Step; readonly at: Date } | undefined
  /** Those it should have, and how they stand in Redis; `undefined` when Redis cannot be asked. */
  readonly timers: readonly (Timer & { readonly standing: StandingTimer | undefined })[] | undefined
  /** From its beginning. */
  readonly events: readonly Event[]
  /** With every attempt, from its beginning. */
  readonly deliveries: readonly (Delivery & { readonly log: readonly Attempt[] })[]
}

const pageSize = 200

/** @throws LapseError `not_found` when nothing was ever known of it */
export const tellStory = async (
  domain: Domain,
  timers: Timers,
  id: string,
  onError: (error: unknown) => void,
): Promise<Story> => {
  const expected = await domain.expected(id)
  const events = await whole((page) => domain.events({ resourceId: id }, page))
  if (!expected && events.length === 0) throw new LapseError('not_found')
  const owed = expected ? await whole((page) => domain.deliveries.list({ resourceId: id }, page)) : []
  const deliveries: Story['deliveries'][number][] = []
  for (const { id: delivery } of owed) deliveries.push(await domain.deliveries.get(delivery))
  return {
    id,
    resource: expected?.resource,
    next: expected?.next,
    timers: await timers
      .standing(expected?.timers ?? [])
      .catch(onError)
      .then((all) => all ?? undefined),
    events,
    deliveries,
  }
}

/** All pages, the oldest first. */
const whole = async <T extends { readonly id: string }>(
  read: (page: { before?: string; limit: number }) => Promise<T[]>,
): Promise<T[]> => {
  const all: T[] = []
  for (;;) {
    const last = all.at(-1)
    const page = await read({ limit: pageSize, ...(last && { before: last.id }) })
    all.push(...page)
    if (page.length < pageSize) return all.reverse()
  }
}
