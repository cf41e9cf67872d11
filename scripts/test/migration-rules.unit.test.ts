import { describe, expect, it } from 'vitest'
import { brokenRules } from '../services/migration-rules.mjs'

const later = (...scripts: string[]) => scripts.map((sql, i) => ({ name: `2999010100000${i}_more`, sql }))
const rulesOf = (...scripts: string[]): string[] =>
  brokenRules(later(...scripts)).map(({ rule }: { rule: string }) => rule)

describe('a migration that would stop others from their work is told what to do instead', () => {
  it.each([
    ['CREATE INDEX "a" ON "resource" ("kind")', /CREATE INDEX CONCURRENTLY/],
    ['CREATE UNIQUE INDEX a ON public.resource USING btree (kind)', /locks "resource"/],
    ['CREATE INDEX CONCURRENTLY a ON resource (kind); SELECT 1', /stands alone/],
    ['CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON resource (kind)', /half-built/],
    ['DROP INDEX a', /DROP INDEX CONCURRENTLY/],
    ['REINDEX TABLE resource', /keeps everybody/],
    ['LOCK TABLE resource', /keeps everybody/],
    ["UPDATE resource SET kind = 'b'", /by the code, in batches/],
    ['BEGIN', /one transaction already/],
    ['DROP TABLE event', /Taking away/],
    ["ALTER TYPE lapse_status RENAME VALUE 'active' TO 'live'", /Taking away/],
    ['ALTER TABLE resource RENAME TO resources', /Taking away/],
    ['ALTER TABLE resource RENAME COLUMN kind TO sort', /Taking away/],
    ['ALTER TABLE resource DROP COLUMN kind', /Taking away/],
    ['ALTER TABLE resource ADD CONSTRAINT a CHECK (uses > 0)', /NOT VALID/],
    ['ALTER TABLE resource ADD CONSTRAINT a FOREIGN KEY (id) REFERENCES b (id)', /NOT VALID/],
    ['ALTER TABLE resource ADD CONSTRAINT a UNIQUE (kind)', /USING INDEX/],
    ['ALTER TABLE resource ADD CONSTRAINT a EXCLUDE USING gist (kind WITH =)', /no other way/],
    [
      'ALTER TABLE resource ADD CONSTRAINT a CHECK (uses > 0) NOT VALID; ALTER TABLE resource VALIDATE CONSTRAINT a',
      /next migration/,
    ],
    ['ALTER TABLE resource ADD COLUMN a int NOT NULL', /version before do not know/],
    ['ALTER TABLE resource ADD COLUMN a uuid DEFAULT lapse_uuidv7()', /SET DEFAULT/],
    ['ALTER TABLE resource ADD COLUMN a bigserial', /SET DEFAULT/],
    ['ALTER TABLE resource ADD COLUMN a int GENERATED ALWAYS AS (uses + 1) STORED', /SET DEFAULT/],
    ['ALTER TABLE resource ADD COLUMN a uuid REFERENCES b (id)', /ADD CONSTRAINT/],
    ['ALTER TABLE resource ADD COLUMN b int, ALTER COLUMN uses TYPE bigint', /write all rows anew/],
    ['ALTER TABLE resource ALTER COLUMN uses SET DATA TYPE bigint', /write all rows anew/],
    ['ALTER TABLE "resource" ALTER COLUMN "scope" SET NOT NULL', /CHECK \("scope" IS NOT NULL\)/],
    ['ALTER TABLE resource ADD COLUMN a int; ALTER TABLE event ADD COLUMN a int', /locks one table/],
  ])('%s', (script, rule) => {
    expect(rulesOf(script)).toEqual([expect.stringMatching(rule)])
  })
})

describe('what keeps the rules passes', () => {
  it.each([
    'CREATE INDEX CONCURRENTLY "a" ON "resource" ("kind") WHERE "kind" IS NOT NULL;',
    'CREATE TABLE a (id int PRIMARY KEY, b int UNIQUE); CREATE INDEX c ON a (b); ALTER TABLE a ADD CHECK (b > 0)',
    'ALTER TABLE resource ADD COLUMN a VARCHAR(20), ADD COLUMN b numeric(4, 2) NOT NULL DEFAULT 0, ALTER COLUMN uses DROP NOT NULL',
    'ALTER TABLE resource ADD COLUMN a xid8; ALTER TABLE resource ALTER COLUMN a SET DEFAULT pg_current_xact_id()',
    'ALTER TABLE resource DROP CONSTRAINT resource_uses, ADD CONSTRAINT resource_uses CHECK (uses >= 0) NOT VALID',
    "ALTER TYPE lapse_status ADD VALUE 'paused'",
    "CREATE FUNCTION a() RETURNS void LANGUAGE sql AS $$ UPDATE resource SET kind = 'b'; DELETE FROM event $$",
    "COMMENT ON TABLE resource IS 'a; DROP TABLE event'",
    '-- DROP TABLE event;\n/* LOCK TABLE event; */ SELECT 1',
    '-- safe because no released version reads it any more\nALTER TABLE resource DROP COLUMN kind',
  ])('%s', (script) => {
    expect(rulesOf(script)).toEqual([])
  })

  it('SET NOT NULL, once an earlier migration has proven that no row lacks it', () => {
    const add = 'ALTER TABLE "resource" ADD CONSTRAINT "known" CHECK ("scope" IS NOT NULL) NOT VALID'
    const validate = 'ALTER TABLE "resource" VALIDATE CONSTRAINT "known"'
    const set = 'ALTER TABLE "resource" ALTER COLUMN "scope" SET NOT NULL'
    expect(rulesOf(add, validate, set)).toEqual([])
    expect(rulesOf(add, set)).toHaveLength(1)
    expect(rulesOf(add, set, validate)).toHaveLength(1)
  })

  it('a reason waives one statement, not the next', () => {
    expect(rulesOf('-- safe because it is empty\nDROP TABLE a;\nDROP TABLE b')).toHaveLength(1)
  })
})
