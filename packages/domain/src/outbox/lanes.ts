import { type Fragment, sql } from '../store/live.ts'

/**
 * The classes of the outbox, the first before the others wherever order is decided: mails that carry a token, for which a
 * person waits; alerts, tests and other notices; everything else.
 */
export const priorities = { token: 0, notice: 1, usual: 2 } as const

/**
 * Among whom the slots of a channel are shared: an organization, or for what belongs to none each lane by itself.
 * The index `delivery_ready` has the same expression.
 */
export const shareOf = (d: Fragment): Fragment => sql`(coalesce(${d}.organization_id::text, ${d}.lane) COLLATE "C")`

/**
 * What an attempt may hang on, and so what waits for one that hangs: an endpoint, the host of a call, a handler, and for
 * mails, which one server takes, their kind and event. `type` is the event's.
 */
export const laneOf = (effect: Fragment, moved: Fragment): Fragment => sql`CASE ${effect}.channel
  WHEN 'email' THEN ${moved}.kind || ':' || ${moved}.type
  WHEN 'call' THEN coalesce(substring(${moved}.payload ->> 'url' FROM '^[a-z]+://([^/?#]+)'), '')
  ELSE ${effect}.target END`

/**
 * Under which name the circuit breaker of a lane is kept. The mail server has one. A host that is called has one for each
 * organization: else one tenant's broken path would hold up the calls of another.
 */
export const breakerOf = (channel: Fragment, share: Fragment, lane: Fragment): Fragment => sql`CASE ${channel}
  WHEN 'email' THEN '' WHEN 'webhook' THEN ${lane} ELSE ${share} || ' ' || ${lane} END`

/** So many attempts in a row that found it down open a circuit breaker. */
export const breakerThreshold = 5

/** How long an open circuit breaker waits for its next probe: a second, doubling with each that fails, up to a minute. */
export const probeDelay = (failures: Fragment): Fragment =>
  sql`least(60, power(2, least(greatest(${failures} - ${breakerThreshold}::int, 0), 6))) * interval '1 second'`
