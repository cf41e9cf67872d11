import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { defineKind, type Kind } from '../src/kind.ts'
import { type Advance, hasEnded, isLive, issue, type Life, seenStatus, type Terms } from '../src/lifecycle.ts'
import { Registry } from '../src/registry.ts'
import { advanceResources } from '../src/store/advance.ts'
import { cascadeResources } from '../src/store/cascade.ts'
import { type Draft, insertResources } from '../src/store/issue.ts'
import { columns, isLive as isLiveSql, now, type ResourceRow, sql } from '../src/store/live.ts'
import { resourcesById } from '../src/store/read.ts'
import { countResources, listResources } from '../src/store/resource-list.ts'
import { consumeResource, expireResource, renewResource, revokeResource } from '../src/store/transition.ts'
import { frozenClock } from './frozen-clock.ts'
import {
  type Chapter,
  lifeIn,
  type Own,
  ownIn,
  resolve,
  type Story,
  someEnd,
  someOwn,
  someStory,
  someTerms,
  unborn,
  verbs,
} from './lives.ts'

const { database, setClock } = await frozenClock()
const cause = { trigger: 'manual' } as const

/** The handler makes the ledger say which reminder it was. */
const kindOf = (terms: Terms): Kind => ({
  ...defineKind({ name: 'life', payload: z.object({}), lifetime: { max: '1h' }, handlers: { reminded: () => {} } }),
  terms,
})

const nothing: Own = { wait: null, longest: null }

const draftOf = (kind: Kind, until: number, now: number, byLength: boolean, own = nothing): Draft => {
  const { minLife: minLifeMs, maxLife: maxLifeMs, grace: graceMs, maxUses, reminders } = kind.terms
  const end = byLength ? { expiresAtMs: null, lifeMs: until - now } : { expiresAtMs: until, lifeMs: null }
  const id = randomUUID()
  const texts = { reference: null, scope: null, organization: null, subject: id, contact: null }
  const proof = { selector: null, verifier: null, sealed: null, password: null, enclosed: null }
  const start = byLength
    ? { startsAtMs: null, startsInMs: own.wait }
    : { startsAtMs: own.wait === null ? null : now + own.wait, startsInMs: null }
  return {
    ...{ id, kind: kind.name, ...texts, ...proof, payload: {} },
    ...{ ...start, ...end, graceMs, minLifeMs, maxLifeMs: own.longest ?? maxLifeMs, ownMax: own.longest !== null },
    ...{ maxUses, maxUsesEach: null, reminders },
  }
}

const insert = async (kind: Kind, until: number, now: number, byLength: boolean, own = nothing) => {
  const [row] = await insertResources(database, [draftOf(kind, until, now, byLength, own)], cause, new Registry([kind]))
  return row
}

const lifeOf = (row: ResourceRow, latestAt: number | null): Life => ({
  status: row.status,
  version: row.version,
  uses: row.uses,
  maxUses: row.maxUses,
  issuedAt: row.issuedAt.getTime(),
  startsAt: row.startsAt?.getTime() ?? null,
  latestAt,
  expiresAt: row.expiresAt.getTime(),
  endsAt: row.endsAt.getTime(),
  endedAt: row.endedAt?.getTime() ?? null,
  suspendedAt: row.suspendedAt?.getTime() ?? null,
  reminders: row.reminders,
  dueAt: row.dueAt?.getTime() ?? null,
  nextStep: row.nextStep,
})

const read = async (id: string) => {
  const [row] = await database.$queryRaw<(ResourceRow & { live: boolean })[]>(sql`
    SELECT ${columns(sql`r`, sql`c.at`)}, ${isLiveSql(sql`r`, sql`c.at`)} AS live
    FROM resource r, (SELECT ${now} AS at) c WHERE id = ${id}::uuid`)
  return row
}

/** The same chapter in SQL: the life it answers, the refusal, or nothing. */
const act = async (kind: Kind, id: string, { verb, until, now, onlyLater, before }: Chapter) => {
  const registry = new Registry([kind])
  if (verb === 'advance') {
    const [row] = await advanceResources(database, [kind], { limit: 10, ids: [id], whole: true }, cause, registry)
    return row && { life: lifeOf(row, before.latestAt), event: row.type, latenessMs: row.latenessMs }
  }
  const length = until % 2 ? { expiresAtMs: null, lifeMs: until - now } : { expiresAtMs: until, lifeMs: null }
  const end = { ...length, laterByMs: onlyLater ? 0 : null }
  const run = { consume: consumeResource, revoke: revokeResource, expire: expireResource }
  const inCascade = verb === 'suspend' || verb === 'restore' || (verb === 'revoke' && until % 3 === 0)
  const [row] = inCascade
    ? await cascadeResources(database, registry, verb, { subject: id }, { after: undefined, limit: 10 }, cause)
    : verb === 'renew'
      ? await renewResource(database, kind, id, end, cause, registry)
      : await run[verb as keyof typeof run](database, kind, id, cause, registry)
  // What a cascade finds ended it passes by.
  if (!row) return inCascade && hasEnded(before.status) ? 'ended' : undefined
  expect(row.at.getTime()).toBe(now)
  return row.moved ? lifeOf(row, before.latestAt) : row.refusal
}

/** What an event says of it. */
const toldStatus = ({ status, suspendedAt }: Life) =>
  suspendedAt === null || hasEnded(status) ? status : ('suspended' as const)

const remindersIn = (chapters: readonly Chapter[]) =>
  chapters
    .map(({ answer, before }) => ({ ...(answer as Advance), version: before.version }))
    .filter(({ event }) => event === 'reminded')
    .map(({ offset, version }) => `v${version} reminded:${offset}`)

/** Whatever can come of an act; a use that needs its holder is not one of these lives'. */
const refusals = ['too-short', 'too-long', 'not-later', 'ended', 'suspended', 'not-suspended', 'not-started', 'used-up']
const outcomes = [...verbs.flatMap((verb) => [`${verb} done`, `${verb} refused`]), ...refusals]
const outcomesOf = ({ verb, answer }: Chapter) => [`${verb} ${lifeIn(answer) ? 'done' : 'refused'}`, String(answer)]

const retell = async ({ terms, own, chapters: [birth, ...chapters] }: Story): Promise<void> => {
  if (!birth) return
  const kind = kindOf(terms)
  await setClock(birth.now)
  const issued = await insert(kind, birth.until, birth.now, birth.until % 2 === 0, own)
  const { latestAt } = birth.after
  expect(issued?.id && lifeOf(issued as ResourceRow, latestAt)).toEqual(birth.answer)
  const id = issued?.id ?? ''
  for (const chapter of chapters) {
    const { answer, after, now, verb } = chapter
    await setClock(now)
    const { offset: _, ...expected } = answer && typeof answer === 'object' && 'life' in answer ? answer : {}
    expect(await act(kind, id, chapter)).toEqual(verb === 'advance' && answer ? expected : answer)
    const row = await read(id)
    expect(row && lifeOf(row, latestAt)).toEqual(after)
    expect({ live: row?.live, seen: row?.seen }).toEqual({ live: isLive(after, now), seen: seenStatus(after, now) })
  }
  const [owed, events] = await database.transaction(async (tx) => [
    await tx.delivery.findMany({ where: { resourceId: id }, orderBy: { createdAt: 'asc' } }),
    await tx.event.findMany({ where: { resourceId: id, from: { not: null } }, orderBy: { id: 'asc' } }),
  ])
  expect(events.map(({ from, to }) => [from, to])).toEqual(
    chapters.filter(({ answer }) => lifeIn(answer)).map(({ before, after }) => [toldStatus(before), toldStatus(after)]),
  )
  expect(owed.map((one) => `v${one.version} ${one.event}`)).toEqual(remindersIn(chapters))
}

it('every verb does in SQL exactly what lifecycle.ts says, at every instant', { timeout: 120_000 }, async () => {
  await fc.assert(fc.asyncProperty(someStory, retell), { numRuns: 200 })
  // What is seldom is not left to chance.
  for (const outcome of outcomes) {
    const telling = someStory.filter(({ chapters }) => chapters.slice(1).flatMap(outcomesOf).includes(outcome))
    await fc.assert(fc.asyncProperty(telling, retell), { numRuns: 10 })
  }
})

it('issue takes and refuses in SQL exactly what lifecycle.ts does', async () => {
  await fc.assert(
    fc.asyncProperty(someTerms, someOwn, someEnd, fc.boolean(), async (terms, own, end, byLength) => {
      const now = 1.7e12
      await setClock(now)
      const until = resolve(end, unborn(now), terms, now)
      const row = await insert(kindOf(terms), until, now, byLength, own)
      const latestAt = own.longest === null ? null : now + own.longest
      expect(row?.refusal ?? lifeOf(row as ResourceRow, latestAt)).toEqual(issue(terms, until, now, ownIn(own, now)))
    }),
    { numRuns: 500 },
  )
})

it('one refused draft keeps the whole statement from writing anything', async () => {
  const now = 1.65e12
  await setClock(now)
  const kind = kindOf({
    minLife: 10,
    maxLife: 20,
    grace: 0,
    reminders: [],
    retention: 0,
    maxUses: 1,
    staysUsedUp: false,
  })
  const drafts = [15, 9, 21].map((length) => draftOf(kind, now + length, now, true))
  const rows = await insertResources(database, drafts, cause, new Registry([kind]))
  expect(rows.map(({ id, refusal }) => [id, refusal])).toEqual([
    [null, null],
    [null, 'too-short'],
    [null, 'too-long'],
  ])
  for (const { id } of drafts) expect(await resourcesById(database)(id)).toBeUndefined()
})

it('C3: at exactly T all reads and all layers agree that it has ended; a millisecond before, none does', async () => {
  const now = 1.6e12
  const kind = kindOf({
    minLife: 1,
    maxLife: 1_000,
    grace: 0,
    reminders: [],
    retention: 1_000,
    maxUses: 1,
    staysUsedUp: false,
  })
  await setClock(now)
  const { id } = (await insert(kind, now + 1_000, now, false)) as ResourceRow
  const registry = new Registry([kind])
  const filter = { kind: 'life', live: true }
  const layers = async () => {
    const row = await read(id)
    const listed = await listResources(database, filter, { limit: 1_000 })
    const { count: counted } = await countResources(database, { ...filter, status: 'active' })
    return [
      row?.live,
      row?.seen === 'active',
      listed.some((one) => one.id === id),
      listed.length === counted && counted > 0,
    ]
  }
  for (const early of [999, 1]) {
    await setClock(now + 1_000 - early)
    expect(await layers()).toEqual([true, true, true, true])
    expect(await advanceResources(database, [kind], { limit: 10, ids: [id], whole: false }, cause, registry)).toEqual(
      [],
    )
  }
  await setClock(now + 1_000)
  expect((await layers()).slice(0, 3)).toEqual([false, false, false])
  for (const verb of [consumeResource, revokeResource, expireResource])
    expect(await verb(database, kind, id, cause, registry)).toMatchObject([{ moved: false, refusal: 'ended' }])
  const moved = await advanceResources(database, [kind], { limit: 10, ids: [id], whole: false }, cause, registry)
  expect(moved).toMatchObject([{ type: 'expired', latenessMs: 0 }])
})
