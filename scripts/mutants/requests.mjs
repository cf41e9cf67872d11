// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are pieces of source code.
const shares = 'packages/domain/src/shares.ts'
const sharesTest = 'packages/domain/test/shares.unit.test.ts'
const lockQueue = 'packages/domain/src/lock-queue.ts'
const lockQueueTest = 'packages/domain/test/lock-queue.unit.test.ts'
const lockedRows = 'apps/api/test/locked-rows.race.test.ts'
const givenUp = 'apps/api/test/given-up.test.ts'
const neighbours = 'apps/api/test/neighbours.test.ts'
const concurrency = 'apps/api/src/http/concurrency.ts'

/** What one request may take from the others. */
export const requests = [
  {
    name: 'reserved-connections',
    guard: 'Checks, upkeep and sign-in have connections that nothing else uses',
    file: shares,
    find: "checks: 0.2, upkeep: 0.2, 'sign-in': 0.1, work: 0 }",
    put: "checks: 0, upkeep: 0, 'sign-in': 0, work: 0 }",
    test: [sharesTest, 'are never all taken by work'],
  },
  {
    name: 'connections-of-an-owner',
    guard: 'No owner has more than a third of the connections',
    file: shares,
    find: 'if (owner !== undefined && (this.#ofOwners.get(owner) ?? 0) >= this.#perOwner) return false',
    put: '',
    test: [sharesTest, 'no owner has more than a third'],
  },
  {
    name: 'paced-refusals',
    guard: 'Who asks again at once is refused at most forty times a second',
    file: 'apps/api/src/http/refusals.ts',
    find: 'if (at > now) await sleep(at - now)',
    put: 'if (at < now) await sleep(at - now)',
    test: [neighbours, 'is refused forty times a second'],
  },
  {
    name: 'lock-timeout',
    guard: 'No statement waits longer for a lock, single ones included',
    file: 'packages/domain/src/session-settings.ts',
    find: ', lock_timeout: `${waitMs}`',
    put: '',
    test: [lockedRows, 'each is answered within 4 s'],
  },
  {
    name: 'few-at-a-row',
    guard: 'A few of a process wait for the same row',
    file: lockQueue,
    find: 'const maxRunning = 3',
    put: 'const maxRunning = 30',
    test: [lockedRows, 'at most three of a process wait with a connection'],
  },
  {
    name: 'row-seen-to-be-held',
    guard: 'Who comes to a row that is held is refused at once',
    file: lockQueue,
    find: '    if (heldUp) refuseAll(line)\n',
    put: '',
    test: [lockQueueTest, 'are refused as soon as one of the three was refused'],
  },
  {
    name: 'turns-of-an-organization',
    guard: 'Those that lock the same organization take turns without a connection',
    file: 'packages/domain/src/ground.ts',
    find: ': await this.#database.locks.run(locks, ',
    put: ': await this.#database.locks.run(locks && undefined, ',
    test: [lockedRows, 'an organization whose grants they write'],
  },
  {
    name: 'cancelled-statement',
    guard: 'A request that is given up has its statement cancelled',
    file: 'packages/domain/src/pool.ts',
    find: '    sendCancel(client)\n',
    put: '    void sendCancel\n',
    test: [givenUp, 'has its statement cancelled'],
  },
  {
    name: 'kept-under-its-key',
    guard: 'A request with an Idempotency-Key is not given up',
    file: 'apps/api/src/http/idempotency.ts',
    find: 'asCaller({ signal: undefined }, ',
    put: 'asCaller({}, ',
    test: [givenUp, 'with an Idempotency-Key goes on'],
  },
  {
    name: 'refused-has-not-happened',
    guard: 'An issue that shared a statement does not happen after it was answered that it took too long',
    file: 'packages/domain/src/issued-together.ts',
    find: "signal?.aborted && signal.reason?.name === 'TimeoutError'",
    put: "signal?.aborted && signal.reason?.name === 'NoError'",
    test: [givenUp, 'is answered with 503 and has its statement cancelled'],
  },
  {
    name: 'own-lanes',
    guard: 'Writers of grants wait for writers of their own organization only',
    file: 'packages/domain/src/grants/grant-store.ts',
    find: "`access-grant\\n${organizationId ?? ''}`",
    put: '`access-grant`',
    test: ['packages/domain/test/grants.race.test.ts', 'holds up nobody who writes the same triple in another'],
  },
  {
    name: 'bounded-polls',
    guard: 'A token waits in so many long polls',
    file: concurrency,
    find: '    token: { running: 10, waiting: 0 },',
    put: '    token: { running: 1_000, waiting: 0 },',
    test: [neighbours, '300 long polls'],
  },
  {
    name: 'lists-are-heavy',
    guard: 'A list is heavy without being named',
    file: concurrency,
    find: "? 'light' : 'heavy'\n  return",
    put: "? 'light' : 'light'\n  return",
    test: [neighbours, 'every list of the API is heavy'],
  },
]
