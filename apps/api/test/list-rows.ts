import type { testApi } from './api.ts'

type Query = Awaited<ReturnType<typeof testApi>>['sql']

const id = (ms: string, i: string) =>
  `(lpad(to_hex((${ms})::bigint), 12, '0') || '7' || lpad(to_hex(${i} % 4096), 3, '0') || '8' || lpad(to_hex(${i}), 15, '0'))::uuid`

/** The same for all tables, so that row `i` has one id. */
const began = Date.now()

/** What row `i` of `n` is: spread over 30 days up to now, so that whatever is rare stands far behind. */
const made = (n: number, at = `to_timestamp(${Math.floor(began / 1000)}) - (${n} - i) * interval '30 days' / ${n}`) => `
  SELECT i, ${at} AS at, ${id(`extract(epoch FROM ${at}) * 1000`, 'i')} AS id,
    i > ${n} * 0.9 AS newest, i < ${n} * 0.3 AS oldest,
    CASE WHEN i < ${n} * 0.2 AND i % 500 = 0 THEN 'rare' WHEN i > ${n} * 0.95 THEN 'ticket'
      ELSE (ARRAY['trial', 'access-grant', 'invite', 'share-link', 'promo-code', 'http-call', 'api-token', 'session', 'ticket', 'pass'])[1 + i % 10] END AS kind,
    CASE WHEN i % 3 = 0 THEN 'document:pro' ELSE 'document:' || i % 1000 END AS scope,
    CASE WHEN i % 3 <> 1 THEN 'user:robot' ELSE 'user:' || i % 1000 END AS subject,
    CASE WHEN i % 4 = 3 THEN NULL ELSE (SELECT id FROM directory_organization WHERE reference = 'organization-' || CASE WHEN i % 4 = 0 THEN 0 ELSE i / 7 % 200 END) END AS organization_id
  FROM generate_series(1, ${n}) i`

/** All indexes but those of constraints go while rows are added, and are built afterwards: that takes a fifth of the time. */
const withoutIndexes = async (sql: Query, tables: readonly string[], add: () => Promise<void>) => {
  const indexes = await sql(
    `SELECT indexrelid::regclass AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid = ANY ($1::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`,
    [tables],
  )
  for (const { name } of indexes) await sql(`DROP INDEX ${name}`)
  await add()
  for (const { definition } of indexes) await sql(definition)
  for (const table of tables) await sql(`VACUUM ANALYZE ${table}`)
}

/**
 * Fills the database with `n` resources, deliveries and more events: one organization, scope, subject and target have very
 * much, one resource has a long story, what is rare is old, and the newest is all alike.
 */
export const fill = async (sql: Query, n: number): Promise<Record<string, string>> => {
  await sql(`INSERT INTO directory_organization (reference, name, status, created_at, changed_at)
    SELECT 'organization-' || i, 'Organization', (CASE WHEN i % 100 = 99 THEN 'deleted' ELSE 'active' END)::lapse_organization_status, now(), now()
    FROM generate_series(0, 4999) i`)
  await sql(`INSERT INTO directory_user (reference, email, canonical, created_at, changed_at)
    SELECT 'user-' || i, 'user-' || i || '@example.com', 'user-' || i || '@example.com', now(), now() FROM generate_series(0, 4999) i`)
  await sql(`INSERT INTO directory_membership (organization_id, user_id, role, joined_at)
    SELECT o.id, u.id, 'member', now() FROM directory_organization o JOIN directory_user u
      ON o.reference = 'organization-0' OR (u.reference = 'user-7' AND o.reference <= 'organization-3')
    ON CONFLICT DO NOTHING`)
  await sql(`INSERT INTO webhook_endpoint (id, organization_id, url, kinds, events, header_names, status, disabled_at, sealed, created_at, changed_at)
    SELECT lapse_uuidv7(), o.id, 'https://example.com', '{}', '{}', '{}', s.status::lapse_webhook_endpoint_status,
      CASE s.status WHEN 'disabled' THEN now() END, '', now(), now()
    FROM (SELECT id, reference FROM directory_organization UNION ALL SELECT NULL, 'none' FROM generate_series(1, 12)) o,
      generate_series(1, 4) i, LATERAL (SELECT CASE WHEN o.reference = 'organization-7' AND i = 1 THEN 'disabled' ELSE 'enabled' END AS status) s`)
  await sql(`INSERT INTO mail_suppression (address, spelled, reason, at)
    SELECT 'user-' || i || '@example.com', 'user-' || i || '@example.com', 'bounced', now() FROM generate_series(1, 5000) i`)
  await withoutIndexes(sql, ['resource', 'event', 'delivery'], async () => {
    await sql(`INSERT INTO resource (id, kind, reference, scope, subject, payload, organization_id, status, suspended_at, starts_at, version,
        issued_at, changed_at, expires_at, ends_at, ended_at, due_at, next_step, reminders)
      SELECT m.id, m.kind, CASE WHEN m.kind = 'access-grant' THEN m.scope || '#viewer@' || m.subject || ':' || m.i WHEN i % 4 = 0 OR i = 7 THEN 'reference-' || i END,
        m.scope, m.subject, jsonb_build_object('relation', CASE WHEN m.oldest AND i % 50 = 1 THEN 'owner' ELSE 'viewer' END, 'email', 'a@example.com',
          'role', 'member', 'name', 'n', 'scopes', '["*"]'::jsonb, 'format', 'opaque', 'longLived', false, 'inviter', NULL, 'mail', false, 'organization', 'o', 'attempts', 3, 'timeoutSeconds', 10, 'title', 't', 'protected', false, 'plan', 'pro', 'code', 'c', 'url', 'https://example.com', 'method', 'POST', 'headers', '{}'::jsonb, 'target', 'https://example.com'),
        m.organization_id, s.status::lapse_status, CASE WHEN s.state = 'suspended' THEN m.at END,
        CASE WHEN s.state = 'scheduled' THEN now() + interval '1 day' WHEN s.state = 'begun' THEN m.at END, 1, m.at, m.at,
        e.expires_at, e.ends_at, CASE WHEN s.status NOT IN ('active', 'grace') THEN e.ends_at END,
        CASE s.status WHEN 'active' THEN e.expires_at WHEN 'grace' THEN e.ends_at ELSE now() + interval '30 days' END,
        (CASE s.status WHEN 'active' THEN 'expire' WHEN 'grace' THEN 'end-grace' ELSE 'purge' END)::lapse_step, '{}'
      FROM (${made(n)}) m,
        LATERAL (SELECT CASE WHEN m.newest THEN 'active' WHEN i % 100 = 10 AND m.oldest THEN 'grace' WHEN i % 100 = 20 THEN 'suspended'
            WHEN i % 100 = 30 AND m.oldest THEN 'scheduled' WHEN i % 100 = 31 THEN 'begun' WHEN i % 100 = 40 THEN 'revoked' WHEN i % 1000 = 50 THEN 'consumed'
            WHEN i % 2 = 0 THEN 'active' ELSE 'expired' END AS state) t,
        LATERAL (SELECT t.state, CASE WHEN t.state IN ('suspended', 'scheduled', 'begun') THEN 'active' ELSE t.state END AS status) s,
        LATERAL (SELECT CASE s.status WHEN 'active' THEN now() + interval '40 days' + CASE WHEN i % 9973 = 2 THEN interval '-41 days' - (now() - m.at) ELSE interval '0' END
            WHEN 'grace' THEN now() - interval '1 second' ELSE m.at END AS expires_at) x,
        LATERAL (SELECT greatest(x.expires_at, m.at) AS expires_at, CASE s.status WHEN 'grace' THEN now() + interval '9 days' ELSE greatest(x.expires_at, m.at) END AS ends_at) e
      ORDER BY i`)
    await sql(`INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger, lateness_ms)
      SELECT CASE WHEN i % 15 = 0 THEN b.id ELSE m.id END, m.kind, CASE WHEN i % 15 = 0 THEN 'used' WHEN m.oldest AND i % 100 = 1 THEN 'refused'
          WHEN i % 3 = 0 THEN 'issued' WHEN i % 3 = 1 THEN 'renewed' ELSE 'expired' END, 1, m.at, NULL, 'active',
        (CASE WHEN i < ${n} * 0.1 AND i % 100 = 5 THEN 'lazy' WHEN m.newest OR i % 3 > 0 THEN 'job' ELSE 'manual' END)::lapse_trigger, 5
      FROM (${made(n)}) m, (SELECT id FROM resource ORDER BY id OFFSET 100 LIMIT 1) b ORDER BY i`)
    await sql(`INSERT INTO delivery (id, resource_id, organization_id, kind, version, event, event_id, channel, target, status, next_attempt_at, settled_at, created_at)
      SELECT m.id, CASE WHEN i % 20 = 0 THEN b.id ELSE m.id END, m.organization_id, m.kind, i, CASE WHEN m.oldest AND i % 100 = 3 THEN 'reminded:86400' ELSE 'expired' END, i,
        (CASE WHEN m.oldest AND i % 100 < 2 THEN 'call' ELSE 'email' END)::lapse_channel, m.subject || '@example.com', s.status::lapse_delivery_status,
        CASE WHEN s.status IN ('pending', 'failed') THEN now() + interval '1 hour' END, CASE WHEN s.status NOT IN ('pending', 'failed') THEN m.at END, m.at
      FROM (${made(n)}) m, (SELECT id FROM resource ORDER BY id OFFSET 100 LIMIT 1) b,
        LATERAL (SELECT CASE WHEN m.newest OR i % 10 > 3 THEN 'sent' WHEN i % 10 = 0 THEN 'failed' WHEN i % 10 = 1 THEN 'pending' WHEN i % 100 = 2 THEN 'dead' WHEN i % 1000 = 3 THEN 'cancelled' ELSE 'sent' END AS status) s
      ORDER BY i`)
  })
  await sql(`INSERT INTO redemption (resource_id, holder, uses, first_at, last_at)
    SELECT b.id, 'holder-' || i, 1, now(), now() FROM (SELECT id FROM resource ORDER BY id OFFSET 100 LIMIT 1) b, generate_series(1, 5000) i`)
  for (const table of [
    'directory_organization',
    'directory_user',
    'directory_membership',
    'webhook_endpoint',
    'mail_suppression',
    'redemption',
  ])
    await sql(`VACUUM ANALYZE ${table}`)
  // Whose they are stands in them.
  await sql(`INSERT INTO pulse (name, at) VALUES ('delivery-owners', now() + interval '1 day')`)
  const [found] = await sql(`SELECT (SELECT id FROM directory_organization WHERE reference = 'organization-0') AS big,
    (SELECT id FROM directory_organization WHERE reference = 'organization-7') AS small,
    (SELECT id FROM resource ORDER BY id OFFSET 100 LIMIT 1) AS busy, (SELECT id FROM resource ORDER BY id DESC OFFSET 1000 LIMIT 1) AS one`)
  const ago = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString()
  return { ...found, past: ago(20), recent: ago(2), now: ago(0) }
}
