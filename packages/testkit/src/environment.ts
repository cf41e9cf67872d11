/** What `npm test` (scripts/test.mjs) tells the tests about their services. */
type Setting =
  /** Owner's address of the migrated database that every test file gets a copy of. */
  | 'LAPSE_TEST_OWNER_URL'
  /** The same database for the application's role. */
  | 'LAPSE_TEST_APP_URL'
  /** What PostgreSQL writes: of all test files together. */
  | 'LAPSE_TEST_POSTGRES_LOG'
  /** The Redis that the test files share, each under a prefix of its own. */
  | 'LAPSE_TEST_REDIS_URL'
  /** The Redis or Valkey server program, for tests that stop and kill one. */
  | 'LAPSE_REDIS_SERVER'
  /** Folders of that program's libraries; empty when the system has them. */
  | 'LAPSE_REDIS_LIB'
  /** The Chromium for browser tests, as JSON: what scripts/services/chromium.mjs answers; empty when there is none. */
  | 'LAPSE_TEST_CHROMIUM'

export const setting = (name: Setting): string => {
  const value = process.env[name]
  if (value === undefined)
    throw new Error(`${name} is not set: run the tests with \`npm test\`, which starts their PostgreSQL and Redis.`)
  return value
}
