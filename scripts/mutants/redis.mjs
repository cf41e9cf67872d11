// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are pieces of source code.
const health = 'packages/queue/src/health.ts'
const healthTest = 'packages/queue/test/health.test.ts'
const runner = 'packages/queue/src/runner.ts'
const refused = 'packages/queue/test/runner-refused.test.ts'
const afterCommit = 'packages/lapse/test/after-commit.test.ts'
const refusals = 'apps/worker/test/redis-refusals.test.ts'
const alerts = 'packages/domain/test/alerts.test.ts'

/** Redis may answer, and refuse writes; or hang. */
export const redis = [
  {
    name: 'redis-probe-writes',
    guard: 'Redis counts as healthy only while it accepts writes',
    file: health,
    find: "this.#redis.set(key, '1', 'PX', keyMs)",
    put: 'this.#redis.get(key)',
    test: [healthTest, 'it refuses, in its own words'],
  },
  {
    name: 'redis-probe-coalesced',
    guard: 'However many ask whether Redis accepts writes, it is one write',
    file: health,
    find: 'this.#checking ??= this.#probe()',
    put: 'this.#checking = this.#probe()',
    test: [healthTest, 'however many ask at once'],
  },
  {
    name: 'redis-each-master',
    guard: 'Any master of a cluster that refuses counts',
    file: health,
    find: 'return keys.length > 0 ? keys :',
    put: 'return keys.length > 0 ? keys.slice(0, 1) :',
    test: [healthTest, 'any master of a cluster'],
  },
  {
    name: 'redis-hangs',
    guard: 'Nothing waits for a Redis that hangs, once that is known',
    file: health,
    find: 'return isStale && (await checking)',
    put: 'return (isStale || !isStale) && (await checking)',
    test: [healthTest, 'one that hangs is away'],
  },
  {
    name: 'redis-refusal-between-probes',
    guard: 'A refusal that no probe has met is known from the command that met it',
    file: health,
    find: '    if (refusal === undefined || !known.test(refusal)) return false\n',
    put: '    return false\n',
    test: [healthTest, 'a refusal that no probe has met'],
  },
  {
    name: 'redis-replica-reconnecting',
    guard: 'A replica that is connected to again goes on refusing',
    file: health,
    find: 'now - this.#refusedAt < reconnectingMs',
    put: 'now - this.#refusedAt < 0 * reconnectingMs',
    test: [healthTest, 'a replica that is connected to again'],
  },
  {
    name: 'runner-pauses',
    guard: 'A runner whose commands are refused asks less and less often',
    file: runner,
    find: 'if (pausing || stopped) return',
    put: 'if (pausing || stopped || worker) return',
    test: [refused, 'runners ask it less'],
  },
  {
    name: 'runner-put-off-refused',
    guard: 'A job that cannot be put off does not fail',
    file: runner,
    find: 'await job.moveToDelayed(at, token).catch((error) => options.onError(queue, error))',
    put: 'await job.moveToDelayed(at, token)',
    test: [refused, 'a job that cannot be put off'],
  },
  {
    name: 'alarm-backs-off',
    guard: 'The alarm asks a Redis that refuses less and less often',
    file: 'packages/queue/src/alarm.ts',
    find: 'this.#lookIn(this.#retryDelay.next())',
    put: 'this.#lookIn(beatMs)',
    test: [refused, 'the alarm asks less'],
  },
  {
    name: 'after-commit-refused',
    guard: 'Nothing is sent to a Redis that is known to refuse',
    file: 'packages/lapse/src/after-commit.ts',
    find: '      if (!(await this.#queues.health.isUsable())) return false\n',
    put: '',
    test: [afterCommit, 'nothing is sent to a Redis that refuses'],
  },
  {
    name: 'after-commit-bounded',
    guard: 'What is on its way to Redis is bounded',
    file: 'packages/lapse/src/after-commit.ts',
    find: 'this.#underWay > 0 && this.#underWay + count > maxUnderWay',
    put: 'this.#underWay < 0 && this.#underWay + count > maxUnderWay',
    test: [afterCommit, 'what is on its way'],
  },
  {
    name: 'redis-alert-at-once',
    guard: 'A Redis that refuses writes is reported at once, by a process that has no Redis',
    file: 'packages/lapse/src/watch.ts',
    find: "if (state.status === 'away' && now - badSince < awayMs) return",
    put: 'if (now - badSince < 1_000 * awayMs) return',
    test: [refusals, 'READONLY'],
  },
  {
    name: 'redis-alert-of-another',
    guard: 'A process that sees Redis well does not hide what another sees',
    file: 'packages/domain/src/alerts/watch.ts',
    find: 'if (!raised || since(raised.seenAt) < calmMs) return undefined',
    put: 'if (!raised) return undefined',
    test: [alerts, 'is not over because another process'],
  },
  {
    name: 'redis-alert-waits',
    guard: 'A report waits for its turn while another process looks',
    file: 'packages/domain/src/alerts/watch.ts',
    find: 'SELECT pg_advisory_xact_lock(${turnKey})',
    put: 'SELECT pg_try_advisory_xact_lock(${turnKey})',
    test: [alerts, 'waits for its turn'],
  },
]
