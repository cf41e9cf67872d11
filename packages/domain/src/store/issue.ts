import type { Sql } from '../database.ts'
import type { ConfidentialField, Kind, Payload } from '../kind.ts'
import type { Registry } from '../registry.ts'
import { among, columns, empty, type Fragment, nextReminder, now, type ResourceRow, sql } from './live.ts'
import { type Cause, type Recorded, record } from './record.ts'

/** One resource to be issued, its kind's terms worked in. */
export interface Draft {
  readonly id: string
  readonly kind: string
  readonly reference: string | null
  readonly scope: string | null
  /** An organization's id, or its reference. */
  readonly organization: string | null
  readonly subject: string | null
  readonly payload: Payload
  readonly contact: string | null
  readonly maxUses: number | null
  readonly maxUsesEach: number | null
  /** When it can be used first: epoch milliseconds, or milliseconds from now. */
  readonly startsAtMs: number | null
  readonly startsInMs: number | null
  /** Epoch milliseconds; or else `lifeMs`. */
  readonly expiresAtMs: number | null
  readonly lifeMs: number | null
  readonly graceMs: number
  readonly minLifeMs: number
  readonly maxLifeMs: number
  /** Whether `maxLifeMs` is its own, and stays. */
  readonly ownMax: boolean
  readonly reminders: readonly number[]
  /** What it can be found and proven by; bytes in base64. */
  readonly selector: string | null
  readonly verifier: string | null
  /** What its first mail carries, sealed. */
  readonly sealed: string | null
  /** What has to be typed besides, hashed. */
  readonly password: string | null
  /** What the call that it makes at its end carries, sealed. */
  readonly enclosed: string | null
}

export type IssueRefusal = 'too-short' | 'too-long' | 'no-organization' | 'organization-not-active'

export type IssuedRow = ResourceRow &
  Recorded & {
    readonly refusal: IssueRefusal | null
  }

/** NULL in every column of the row when it was not issued. */
export type MaybeIssuedRow = IssuedRow | (Partial<ResourceRow> & { id: null; refusal: IssuedRow['refusal'] })

/**
 * Inserts all drafts, or none when one is refused; with `each`, all that are not. A draft whose reference (or id) is taken
 * is left out: the caller sees `id` NULL with no refusal. Rows come in the order of the drafts.
 */
export const insertResources = (
  db: Sql,
  drafts: readonly Draft[],
  cause: Cause,
  registry: Registry,
  judged: 'together' | 'each' = 'together',
) => {
  const places = placesOf(drafts)
  const several = drafts.length > 1
  return db.$queryRaw<MaybeIssuedRow[]>(sql`
  WITH ${places.held}
  draft AS MATERIALIZED (
    SELECT d.*, clock.at, coalesce(
      to_timestamp(d."expiresAtMs" / 1000), clock.at + d."lifeMs" * interval '1 millisecond')::timestamptz(3) AS expires_at,
      coalesce(to_timestamp(d."startsAtMs" / 1000), clock.at + d."startsInMs" * interval '1 millisecond')::timestamptz(3) AS starts_at
    FROM clock, ROWS FROM (jsonb_to_recordset(${JSON.stringify(drafts)}::jsonb) AS (
      id uuid, kind text, reference text, scope text, organization text, subject text, payload jsonb, contact text,
      "maxUses" int, "maxUsesEach" int, selector text, verifier text, sealed text, password text, enclosed text, "ownMax" boolean,
      "startsAtMs" float8, "startsInMs" float8,
      "expiresAtMs" float8, "lifeMs" float8, "graceMs" float8, "minLifeMs" float8, "maxLifeMs" float8, reminders int[]
    )) WITH ORDINALITY AS d
  ), judged AS MATERIALIZED (
    SELECT d.*, ${places.id} AS organization_id, ${nextReminder(sql`d.expires_at`, sql`d.reminders`, sql`d.at`)} AS reminder,
      CASE ${places.refusal}
        WHEN d.expires_at < greatest(d.at, d.starts_at) + d."minLifeMs" * interval '1 millisecond' THEN 'too-short'
        WHEN d.expires_at > d.at + d."maxLifeMs" * interval '1 millisecond' THEN 'too-long' END AS refusal
    FROM draft d ${places.join}
  ), inserted AS (
    INSERT INTO resource (id, kind, reference, scope, organization_id, subject, payload, contact,
      max_uses, max_uses_each, selector, verifier, password, enclosed, issued_at, changed_at, starts_at, expires_at,
      latest_at, ends_at, reminders, due_at, next_step)
    SELECT id, kind, reference, scope, organization_id, subject, payload, contact,
      "maxUses", "maxUsesEach", selector, decode(verifier, 'base64'), password, decode(enclosed, 'base64'), at, at, starts_at, expires_at,
      CASE WHEN "ownMax" THEN at + "maxLifeMs" * interval '1 millisecond' END,
      expires_at + "graceMs" * interval '1 millisecond', reminders, coalesce(reminder, expires_at),
      (CASE WHEN reminder IS NULL THEN 'expire' ELSE 'remind' END)::lapse_step
    FROM judged
    WHERE ${judged === 'each' ? sql`refusal IS NULL` : sql`NOT EXISTS (SELECT 1 FROM judged WHERE refusal IS NOT NULL)`}
    ${several ? inOneOrder : empty}
    ON CONFLICT DO NOTHING
    RETURNING *
  ), moved AS (
    -- What carries a token is about a person: the address is in the row, and does not stay in the audit for good.
    SELECT i.*, i.issued_at AS at, 'issued' AS type, 'issued' AS occasion, NULL::lapse_status AS was,
      NULL::bigint AS lateness_ms, jsonb_build_object('after', jsonb_strip_nulls(jsonb_build_object('expires_at', i.expires_at,
        'reference', CASE WHEN i.verifier IS NULL AND ${shown('reference', registry)} THEN i.reference END, 'scope', i.scope,
        'organization_id', i.organization_id, 'subject', CASE WHEN i.verifier IS NULL AND ${shown('subject', registry)} THEN i.subject END))) AS data
    FROM inserted i
  ), ${record(cause, registry, kindsOf(drafts, registry), ['issued'], sealedOf(drafts))}
  SELECT j.refusal, ${columns(sql`m`, sql`m.at`)}, m.type, m.was AS "from", m.lateness_ms::float8 AS "latenessMs",
    m.at AS "eventAt", o.deliveries AS owed
  FROM judged j LEFT JOIN moved m ON m.id = j.id LEFT JOIN owed o ON o.resource_id = m.id
  ${several ? sql`ORDER BY j.ordinality` : empty}`)
}

/** Whether a kind lets this field of its resources stand in the audit. */
const shown = (field: ConfidentialField, registry: Registry): Fragment => {
  const kinds = registry.all.filter(({ confidential }) => confidential.includes(field))
  return sql`i.kind <> ALL (${kinds.map(({ name }) => name)}::text[])`
}

/** Two bulks that want the same references wait for each other in one order, or they would deadlock. */
const inOneOrder = sql`ORDER BY kind, reference, organization_id, ordinality`

/** Drafts of one statement: they are one parameter, and it has to end before the timeout of statements. */
export const issuedBatch = 1_000

/**
 * The places of drafts, batch after batch. Of several batches in the order in which a statement takes references, so that two
 * bulks that want the same ones wait for each other in one order.
 */
export const batchesOf = (drafts: readonly Draft[]): number[][] => {
  const places = [...drafts.keys()]
  if (drafts.length <= issuedBatch) return [places]
  const key = (place: number) =>
    `${drafts[place]?.kind}\0${drafts[place]?.reference ?? ''}\0${drafts[place]?.organization ?? ''}`
  places.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a - b))
  return Array.from({ length: Math.ceil(places.length / issuedBatch) }, (_, i) =>
    places.slice(i * issuedBatch, (i + 1) * issuedBatch),
  )
}

/**
 * The organizations that they are issued in, held until the commit: whoever suspends or deletes one waits for us and then
 * finds what we have issued, or we wait for them and see that it is not active. The clock is read after that.
 * What belongs to none does not pay for it.
 */
const placesOf = (drafts: readonly Draft[]) => {
  const named = [...new Set(drafts.map((draft) => draft.organization).filter((name) => name !== null))]
  if (named.length === 0)
    return { held: sql`clock AS MATERIALIZED (SELECT ${now} AS at),`, id: sql`NULL::uuid`, refusal: empty, join: empty }
  return {
    held: sql`organization AS MATERIALIZED (
      SELECT id, reference, status FROM directory_organization
      WHERE ${among(named)} OR reference = ANY (${named}::text[]) ORDER BY id FOR SHARE
    ), clock AS MATERIALIZED (SELECT ${now} AS at FROM (SELECT count(*) FROM organization) AS held),`,
    id: sql`o.id`,
    refusal: sql`WHEN d.organization IS NOT NULL AND o.id IS NULL THEN 'no-organization'
      WHEN o.status <> 'active' THEN 'organization-not-active'`,
    join: sql`LEFT JOIN organization o ON lower(d.organization) = o.id::text OR d.organization = o.reference`,
  }
}

const sealedOf = (drafts: readonly Draft[]): Fragment | undefined =>
  drafts.some((draft) => draft.sealed !== null)
    ? sql`(SELECT decode(d.sealed, 'base64') FROM draft d WHERE d.id = m.id)`
    : undefined

const kindsOf = (drafts: readonly Draft[], registry: Registry): Kind[] =>
  [...new Set(drafts.map((draft) => draft.kind))].map((name) => registry.get(name))
