import { validate as isUuid } from 'uuid'
import { timersOfRow } from './change.ts'
import type { Sql } from './database.ts'
import { LapseError } from './errors.ts'
import type { Resource } from './kind.ts'
import type { Step, Timer } from './lifecycle.ts'
import type { Registry } from './registry.ts'
import { resourceOf } from './seen.ts'
import { readWholeResource } from './store/read.ts'

export interface Expected {
  readonly resource: Resource
  readonly next: { readonly step: Step; readonly at: Date } | undefined
  /** Those that should stand in Redis for it, as far as the horizon reaches. */
  readonly timers: readonly Timer[]
}

/** `undefined` when there is none, or none any more. @throws LapseError `not_found` for what is no id */
export const expectedOf = async (db: Sql, registry: Registry, id: string): Promise<Expected | undefined> => {
  if (!isUuid(id)) throw new LapseError('not_found', { detail: 'That is not an id.' })
  const row = await readWholeResource(db, id)
  if (!row) return undefined
  const { nextStep: step, dueAt: at } = row
  return { resource: resourceOf(row, registry), next: step && at ? { step, at } : undefined, timers: timersOfRow(row) }
}
