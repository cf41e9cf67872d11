import { groupBy } from '../group.ts'
import type { Arrival, FinalDelivery, FinalEvent, FinalResource, History, Life, Operation } from '../history.ts'

/** Everything about one life. */
export interface Case {
  readonly life: Life
  readonly operations: readonly Operation[]
  /** More than one when an issue under one key was done twice. */
  readonly resources: readonly FinalResource[]
  /** By the order of their ids. */
  readonly events: readonly FinalEvent[]
  readonly deliveries: readonly FinalDelivery[]
  readonly arrivals: readonly Arrival[]
}

export interface Violation {
  readonly rule: string
  readonly life?: string
  readonly what: string
}

/** What a rule says of one case, in words; nothing when all is well. */
export type Rule = (one: Case, history: History) => readonly string[]

/** Takes the history apart by lives. */
export const casesOf = ({ lives, operations, arrivals, final }: History): Case[] => {
  const operationsOf = groupBy(operations, ({ life }) => life)
  const resourcesOf = groupBy(final.resources, ({ life }) => life)
  const eventsOf = groupBy(final.events, ({ resourceId }) => resourceId)
  const deliveriesOf = groupBy(final.deliveries, ({ resourceId }) => resourceId)
  const arrivalsOf = groupBy(arrivals, ({ whose }) => whose)
  return lives.map((life) => {
    const resources = resourcesOf.get(life.name) ?? []
    const ids = [...new Set([...resources.map(({ id }) => id), ...(life.id === undefined ? [] : [life.id])])]
    return {
      life,
      operations: (operationsOf.get(life.name) ?? []).toSorted((a, b) => a.start - b.start),
      resources,
      events: ids.flatMap((id) => eventsOf.get(id) ?? []).toSorted((a, b) => Number(a.id) - Number(b.id)),
      deliveries: ids.flatMap((id) => deliveriesOf.get(id) ?? []),
      arrivals: [life.name, ...ids].flatMap((whose) => arrivalsOf.get(whose) ?? []).toSorted((a, b) => a.at - b.at),
    }
  })
}

export const terminal = ['expired', 'revoked', 'consumed']
