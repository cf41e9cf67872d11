import type { Sql } from './database.ts'
import { sql } from './store/live.ts'

/** Every index that the migrations make. Without one of them Lapse works, and slows down as it fills. */
export const expectedIndexes: readonly string[] = [
  ...['delivery_attempt_pkey', 'delivery_dead', 'delivery_due', 'delivery_pkey', 'delivery_webhook', 'event_at'],
  ...[
    'delivery_dead_settled',
    'delivery_notice_settled',
    'delivery_organization',
    'delivery_unsent',
    'delivery_target_id_idx',
  ],
  'delivery_resource_id_version_event_channel_target_key',
  ...['directory_membership_organization_id_user_id_key', 'directory_membership_pkey'],
  ...['directory_membership_organization_id_id_idx', 'directory_membership_user_id_id_idx'],
  ...['directory_organization_pkey', 'directory_organization_status_id_idx', 'directory_organization_reference_key'],
  ...['directory_user_canonical_key', 'directory_user_pkey', 'directory_user_reference_key'],
  ...[
    'event_end',
    'event_grant',
    'event_invited',
    'event_kind_type',
    'event_pkey',
    'event_refused',
    'event_resource_id_id_idx',
    'event_rewound',
    'event_swept',
    'event_time',
  ],
  ...[
    'alert_pkey',
    'idempotency_key_created_at_idx',
    'idempotency_key_pkey',
    'mail_suppression_address_reason_key',
    'mail_suppression_spelled_idx',
  ],
  ...['delivery_ready', 'delivery_waiting', 'outbox_lane_changed_at_idx', 'outbox_lane_open', 'outbox_lane_pkey'],
  ...['outbox_rate_pkey'],
  ...['mail_suppression_pkey', 'pulse_pkey', 'redemption_pkey', 'webhook_endpoint_enabled'],
  ...['webhook_endpoint_organization_id_id_idx', 'webhook_endpoint_pkey', 'webhook_endpoint_status_id_idx'],
  ...[
    'resource_due',
    'resource_failing',
    'resource_grant',
    'resource_grant_subject',
    'resource_inviter',
    'resource_kind_id_idx',
    'resource_kind_lane',
  ],
  ...['resource_organization', 'resource_organization_lane', 'resource_pkey', 'resource_purge', 'resource_reference'],
  ...['resource_reference_holder', 'resource_scope', 'resource_selector', 'resource_subject'],
  ...['delivery_sealed_by', 'resource_enclosed_by', 'secret_key_pkey', 'webhook_endpoint_sealed_by'],
]

export interface SchemaReport {
  /** In their order. */
  readonly applied: readonly string[]
  /** Begun, and neither finished nor rolled back. */
  readonly unfinished: readonly string[]
  readonly missingIndexes: readonly string[]
  /** Half-built, as an interrupted CREATE INDEX CONCURRENTLY leaves them: kept up and never used. */
  readonly invalidIndexes: readonly string[]
}

/** Compares the schema with what the migrations should have made of it. */
export const checkSchema = async (db: Sql): Promise<SchemaReport> => {
  const migrations = await db.$queryRaw<{ name: string; finished: boolean }[]>(sql`
    SELECT migration_name AS name, finished_at IS NOT NULL AS finished FROM _prisma_migrations
    WHERE rolled_back_at IS NULL ORDER BY migration_name`)
  const indexes = await db.$queryRaw<{ name: string; valid: boolean }[]>(sql`
    SELECT c.relname AS name, i.indisvalid AND i.indisready AS valid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = current_schema()::regnamespace`)
  const found = new Map(indexes.map(({ name, valid }) => [name, valid]))
  return {
    applied: migrations.filter(({ finished }) => finished).map(({ name }) => name),
    unfinished: migrations.filter(({ finished }) => !finished).map(({ name }) => name),
    missingIndexes: expectedIndexes.filter((name) => !found.has(name)),
    invalidIndexes: expectedIndexes.filter((name) => found.get(name) === false),
  }
}
