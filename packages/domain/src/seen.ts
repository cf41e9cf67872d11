import type { Resource } from './kind.ts'
import type { Registry } from './registry.ts'
import type { SeenRow } from './store/live.ts'

/** A row as everybody sees it. */
export const resourceOf = (row: SeenRow, registry: Registry): Resource => ({
  id: row.id,
  kind: row.kind,
  status: row.seen,
  word: registry.word(row.kind, row.seen),
  reference: row.reference,
  scope: row.scope,
  organizationId: row.organizationId,
  subject: row.subject,
  payload: row.payload,
  version: row.version,
  uses: row.uses,
  maxUses: row.maxUses,
  maxUsesEach: row.maxUsesEach,
  lastUsedAt: row.lastUsedAt,
  issuedAt: row.issuedAt,
  startsAt: row.startsAt,
  expiresAt: row.expiresAt,
  endsAt: row.endsAt,
  endedAt: row.endedAt ?? (row.seen === 'expired' ? row.endsAt : null),
  seenAt: row.at,
})
