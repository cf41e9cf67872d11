import { type Change, changeOf } from '../change.ts'
import { LapseError } from '../errors.ts'
import type { Ground, Work } from '../ground.ts'
import { type By, type End, endField, endOf, lifetimeError, manual } from '../input.ts'
import type { LifetimeRefusal } from '../lifecycle.ts'
import { among, milliseconds } from '../store/live.ts'
import { type RenewedEnd, renewing, revoking, type TransitionRow, transition } from '../store/transition.ts'
import { checkTriple, type Grant, grantOf, keyOf, type Triple, tripleKey } from './grant.ts'
import { awaitTurn, type HeldRow, holdGrants, placeOf } from './grant-store.ts'

export interface GrantInput extends Triple, End {
  /** Where it comes from, such as a ticket: grants of different sources stand side by side. */
  readonly source?: string | undefined
  /** Why it is granted; stays with it. */
  readonly reason?: string | undefined
  /** Who is told before it ends. */
  readonly email?: string | undefined
}

/** A deletion without a source ends what stands for the triple, whatever its source. */
export type GrantUpdate =
  | (GrantInput & { readonly op: 'create' | 'touch' })
  | (Triple & { readonly op: 'delete'; readonly source?: string | undefined })

/** What became of one update. `count`: how many grants a deletion has ended. */
export type Written =
  | { readonly outcome: 'granted' | 'changed'; readonly grant: Grant }
  | { readonly outcome: 'deleted'; readonly count: number }

/** Begins the names of one update's fields. */
export type Path = (index: number) => string

/** One bulk under way. */
interface Bulk {
  readonly updates: readonly GrantUpdate[]
  readonly keys: readonly string[]
  readonly organizationId: string | null
  readonly by: By
  readonly path: Path
}

/** What became of the updates at these places. */
type Changes = Map<number, Change>

/** Does all of these, or none. @throws LapseError naming the field of the one at fault */
export const writeGrants = (
  ground: Ground,
  updates: readonly GrantUpdate[],
  { organization, ...by }: By & { readonly organization?: string | undefined },
  path: Path,
) => {
  for (const [i, update] of updates.entries()) {
    checkTriple(update, path(i))
    // What stands may end later than any default: an end that nobody has named would shorten it.
    if (update.op === 'touch') endOf(update, path(i))
  }
  refuseTwice(updates, path)
  return ground
    .locking(`grants of ${organization ?? 'none'}`, { atOnce: updates.length > 1 ? 1 : undefined })
    .commit(async (work) => {
      const organizationId = organization === undefined ? null : await placeOf(work.tx, organization)
      await awaitTurn(work.tx, updates.map(tripleKey), organizationId)
      const keys = updates.map((update) => keyOf(update, update.source, organizationId))
      const bulk = { updates, keys, organizationId, by, path }
      const held = await holdGrants(work.tx, updates, organizationId)
      const changed = await renewTouched(work, bulk, held)
      const granted = await issueFresh(work, bulk, held, changed)
      const ended = await revokeDeleted(work, bulk, held)
      work.changes.push(...changed.values(), ...granted.values(), ...ended)
      return updates.map((update, i): Written => {
        if (update.op === 'delete')
          return { outcome: 'deleted', count: ended.filter(({ resource }) => isMeant(update, resource)).length }
        const [outcome, change] = changed.has(i)
          ? (['changed', changed.get(i)] as const)
          : (['granted', granted.get(i)] as const)
        return { outcome, grant: grantOf((change as Change).resource) }
      })
    })
}

/** The order in which two updates of one grant would be done is nobody's guess. */
const refuseTwice = (updates: readonly GrantUpdate[], path: Path): void => {
  const sources = new Map<string, Set<string | undefined>>()
  const emptied = new Set<string>()
  for (const [i, update] of updates.entries()) {
    const key = tripleKey(update)
    const seen = sources.get(key) ?? new Set()
    const empties = update.op === 'delete' && update.source === undefined
    if (seen.has(update.source) || emptied.has(key) || (empties && seen.size > 0))
      throw new LapseError('invalid', { field: path(i).slice(0, -1), detail: 'This grant is in here twice.' })
    if (empties) emptied.add(key)
    sources.set(key, seen.add(update.source))
  }
}

/** Those that stand get their new ends, all with the same one in one statement. */
const renewTouched = async (
  work: Work,
  { updates, keys, by, path }: Bulk,
  held: readonly HeldRow[],
): Promise<Changes> => {
  const kind = kindOf(work)
  const standing = new Map(held.filter((row) => !row.over).map((row) => [row.reference, row.id]))
  const groups = new Map<string, { readonly end: RenewedEnd; readonly places: Map<string, number> }>()
  for (const [i, update] of updates.entries()) {
    const id = standing.get(keys[i] ?? '')
    if (update.op !== 'touch' || id === undefined) continue
    const end = { ...endOf(update, path(i)), laterByMs: null }
    const alike = `${end.expiresAtMs} ${end.lifeMs}`
    const { places } = groups.get(alike) ?? { places: new Map<string, number>() }
    groups.set(alike, { end, places: places.set(id, i) })
  }
  const changed: Changes = new Map()
  for (const { end, places } of groups.values()) {
    const which = among([...places.keys()])
    for (const row of await transition(work.tx, [kind], which, renewing(kind, end), manual(by), work.registry)) {
      const i = places.get(row.id) as number
      if (row.moved) changed.set(i, changeOf(row, work.registry))
      // What has ended since it was held is granted anew.
      else if (row.refusal !== 'ended') throw refusedTouch(work, row, `${path(i)}${endField(end)}`)
    }
  }
  return changed
}

/** What is created, and what was touched and does not stand. */
const issueFresh = async (
  work: Work,
  { updates, keys, organizationId, by, path }: Bulk,
  held: readonly HeldRow[],
  changed: Changes,
): Promise<Changes> => {
  const holders = new Map(held.map((row) => [row.reference, row]))
  const fresh: number[] = []
  for (const [i, { op }] of updates.entries()) {
    if (op === 'delete' || changed.has(i)) continue
    const holder = holders.get(keys[i] ?? '')
    if (op === 'create' && holder && !holder.over)
      throw new LapseError('grant_live', {
        ...(path(i) && { field: path(i).slice(0, -1) }),
        detail: `It stands until ${holder.expiresAt.toISOString()}. To give it another end, touch it.`,
      })
    fresh.push(i)
  }
  if (fresh.length === 0) return new Map()
  const inputs = fresh.map((i) => {
    const { resource, relation, subject, source, reason, email, ...end } = updates[i] as GrantInput
    return {
      kind: 'access-grant',
      reference: keys[i],
      scope: resource,
      subject,
      organization: organizationId ?? undefined,
      payload: { relation, source, reason, email },
      expiresAt: end.expiresAt,
      expiresInMs: end.expiresInMs,
    }
  })
  const changes = await work.resources.issueAll(inputs, by).catch((error: unknown) => {
    const [, n, field = ''] =
      (error instanceof LapseError && /^(\d+)\.(?:payload\.)?(.*)$/.exec(error.field ?? '')) || []
    if (!(error instanceof LapseError) || n === undefined) throw error
    throw new LapseError(error.code, {
      ...(error.detail && { detail: error.detail }),
      field: field === 'organization' ? field : `${path(fresh[Number(n)] as number)}${field}`,
    })
  })
  return new Map(changes.map((change, n) => [fresh[n] as number, change]))
}

const refusedTouch = (work: Work, row: TransitionRow & { moved: false }, field: string): LapseError => {
  if (row.refusal === 'suspended')
    return new LapseError('organization_not_active', { field: 'organization', detail: 'Restore it first.' })
  return lifetimeError(kindOf(work), row.refusal as LifetimeRefusal, field, row)
}

const revokeDeleted = async (work: Work, { updates, by }: Bulk, held: readonly HeldRow[]): Promise<Change[]> => {
  const deletions = updates.filter((update) => update.op === 'delete')
  const meant = held.filter((row) => deletions.some((update) => isMeant(update, row))).map((row) => row.id)
  if (meant.length === 0) return []
  const kind = kindOf(work)
  const verb = revoking(milliseconds(kind.terms.retention))
  const rows = await transition(work.tx, [kind], among(meant), verb, manual(by), work.registry)
  return rows.filter((row) => row.moved).map((row) => changeOf(row, work.registry))
}

const isMeant = (update: GrantUpdate, row: Pick<HeldRow, 'scope' | 'subject' | 'payload'>): boolean =>
  row.scope === update.resource &&
  row.subject === update.subject &&
  row.payload.relation === update.relation &&
  (update.source === undefined || row.payload.source === update.source)

const kindOf = ({ registry }: Work) => registry.get('access-grant')
