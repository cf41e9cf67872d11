// What the tests of a folder stand on.
import { must } from '../lifetime.mjs'
import { cleanEnvironment } from './private.mjs'

/** Brings the migrations of the folder `cwd` into the database that every test file gets a copy of. */
export const migrate = (postgres, cwd) =>
  must('migrate', process.execPath, ['scripts/migrate.mjs', 'deploy'], {
    cwd,
    env: { ...cleanEnvironment(), MIGRATE_DATABASE_URL: postgres.ownerUrl, LAPSE_APP_ROLE: postgres.appRole },
  })

/** What packages/testkit reads. */
export const testEnvironment = ({ folder, postgres, redis, server }, chromium) => ({
  ...cleanEnvironment(),
  // What an interrupted test leaves there goes with the services.
  TMPDIR: folder,
  LAPSE_ASSERT_ONE_CONNECTION: '1',
  LAPSE_TEST_OWNER_URL: postgres.ownerUrl,
  LAPSE_TEST_APP_URL: postgres.appUrl,
  LAPSE_TEST_POSTGRES_LOG: postgres.log,
  LAPSE_TEST_REDIS_URL: redis.url,
  LAPSE_REDIS_SERVER: server.program,
  LAPSE_REDIS_LIB: server.libraries,
  LAPSE_TEST_CHROMIUM: chromium ? JSON.stringify(chromium) : '',
})
