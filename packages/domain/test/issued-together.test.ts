import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { counting } from './counting.ts'
import { coupon, membership, plain } from './kinds.ts'
import { day, testDomain } from './support.ts'

const kinds = [plain, coupon, membership]
const { domain, holding, sql, url } = await testDomain(kinds)
const { resources, statements, close } = counting(url, kinds)
afterAll(close)

/** How many statements it took. */
const counted = async <T>(act: () => Promise<T>): Promise<[T, number]> => {
  const before = statements()
  const result = await act()
  return [result, statements() - before]
}
const outcomes = (issues: readonly Promise<unknown>[]) =>
  Promise.all(issues.map((issue) => issue.then(() => 'issued').catch(({ code, message }) => code ?? message)))

describe('what is issued in one turn of the event loop', () => {
  it('shares a statement, and each is what was asked for, with its event', async () => {
    const drafts = Array.from({ length: 30 }, (_, i) => ({ kind: 'plain', subject: `user-${i}`, expiresInMs: day + i }))
    const [issued, took] = await counted(() => Promise.all(drafts.map((draft) => resources.issue(draft))))
    expect(took).toBe(1)
    for (const [i, { resource, timers }] of issued.entries()) {
      expect(resource).toMatchObject({ subject: `user-${i}`, status: 'active', version: 1 })
      expect(resource.expiresAt.getTime() - resource.issuedAt.getTime()).toBe(day + i)
      expect(timers).toMatchObject([{ id: resource.id, step: 'expire', dueAt: resource.expiresAt.getTime() }])
      expect(await domain.events({ resourceId: resource.id })).toMatchObject([{ type: 'issued' }])
    }
    expect(new Set(issued.map(({ resource }) => resource.id)).size).toBe(30)
  })

  it('is judged by itself: one that is refused harms nobody', async () => {
    const lives = [day, 0, day, 900 * day, day]
    const [answers, took] = await counted(() =>
      outcomes(lives.map((expiresInMs) => resources.issue({ kind: 'plain', expiresInMs }))),
    )
    expect(answers).toEqual(['issued', 'lifetime_too_short', 'issued', 'lifetime_too_long', 'issued'])
    expect(took).toBe(1)
  })

  it('stands when PostgreSQL refuses one of them, which alone is told', async () => {
    await sql(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF NEW.subject = 'bad' THEN RAISE check_violation USING MESSAGE = 'not this one'; END IF; RETURN NEW; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON resource FOR EACH ROW EXECUTE FUNCTION refuse()`)
    const subjects = ['good', 'bad', 'better']
    const issues = outcomes(subjects.map((subject) => resources.issue({ kind: 'plain', subject, scope: 'one is bad' })))
    expect(await issues).toEqual(['issued', '23514', 'issued'])
    const found = await domain.resources.list({ kind: 'plain', scope: 'one is bad' })
    expect(found.map(({ subject }) => subject).sort()).toEqual(['better', 'good'])
  })

  it('is told apart by who did it, and why', async () => {
    const causes = [{ actor: 'ann' }, { actor: 'bob' }, { actor: 'ann', reason: 'asked' }, { actor: 'ann' }]
    const [issued, took] = await counted(() => Promise.all(causes.map((by) => resources.issue({ kind: 'plain' }, by))))
    expect(took).toBe(3)
    for (const [i, { resource }] of issued.entries())
      expect(await domain.events({ resourceId: resource.id })).toMatchObject([{ reason: null, ...causes[i] }])
  })

  it('does not wait for one that waits for somebody else: for who is taking its reference', async () => {
    const { resource } = await domain.resources.issue({ kind: 'plain' })
    const { waits } = await waitingIn(resource.id, 'resource', { reference: 'wanted by two' }, (holder) =>
      holder.query(`INSERT INTO resource SELECT (jsonb_populate_record(r, $2)).* FROM resource r WHERE id = $1`, [
        resource.id,
        { id: randomUUID(), reference: 'wanted by two' },
      ]),
    )
    expect(await waits).toEqual(['reference_taken'])
  })

  it('does not wait for one that waits for somebody else: for who is changing its organization', async () => {
    const { id } = await domain.ownVerbs(async () => true).organizations.create({ name: 'Acme' })
    const { waits } = await waitingIn(id, 'directory_organization', { organization: id })
    expect(await waits).toEqual(['issued'])
  })
})

/** Issues one that has to wait, and one that has not, in one turn, while `holder` has what the first waits for. */
const waitingIn = async (
  id: string,
  table: 'resource' | 'directory_organization',
  more: object,
  hold: (holder: pg.Client) => Promise<unknown> = async () => {},
) => {
  let waits: Promise<unknown[]> = Promise.resolve([])
  await holding(
    id,
    async (holder) => {
      await hold(holder)
      waits = outcomes([domain.resources.issue({ kind: 'plain', ...more })])
      expect((await domain.resources.issue({ kind: 'plain' })).resource.status).toBe('active')
    },
    table,
  )
  return { waits }
}
