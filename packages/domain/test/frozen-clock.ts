import { testDatabase } from '@lapse/testkit'
import pg from 'pg'
import { afterAll } from 'vitest'
import { openDatabase } from '../src/database.ts'

/**
 * A database whose `clock_timestamp()` stands still at an instant the test chooses: a function of that name in a schema
 * that is searched before PostgreSQL's own. Only so can a statement be judged at exactly a boundary.
 */
export const frozenClock = async () => {
  const { url, ownerUrl } = await testDatabase()
  const owner = new pg.Client({ connectionString: ownerUrl })
  await owner.connect()
  await owner.query(`
    CREATE SCHEMA frozen;
    CREATE TABLE frozen.instant (at timestamptz NOT NULL);
    INSERT INTO frozen.instant VALUES ('epoch');
    CREATE FUNCTION frozen.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS 'SELECT at FROM frozen.instant';
    GRANT USAGE ON SCHEMA frozen TO PUBLIC;
    GRANT SELECT ON frozen.instant TO PUBLIC`)
  const address = new URL(url)
  address.searchParams.set('options', '-c search_path=frozen,public,pg_catalog')
  const database = openDatabase({ url: address.href, connections: 2 })
  afterAll(async () => {
    await database.close()
    await owner.end()
  })
  return {
    database,
    /** Sets the clock within the millisecond `ms`, so that the cut to whole milliseconds is tried as well. */
    setClock: (ms: number) =>
      owner.query(`UPDATE frozen.instant SET at = to_timestamp($1::float8 / 1000) + interval '1 microsecond' * $2`, [
        ms,
        ms % 1_000,
      ]),
  }
}
