// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are pieces of source code.
const advance = 'packages/domain/src/advance.ts'
const slots = 'packages/domain/src/hook-slots.ts'
const engine = 'packages/lapse/src/engine.ts'
const references = 'packages/domain/src/store/references.ts'
const slotsTest = 'packages/domain/test/hook-slots.unit.test.ts'
const limits = 'packages/domain/test/hook-limits.test.ts'
const freed = 'packages/domain/test/freed-references.test.ts'
const postponed = 'packages/lapse/test/postponed.test.ts'

/** What hooks may hold, write, delay and keep. */
export const hooks = [
  {
    name: 'hook-after-its-end',
    guard: 'A hook that has returned, or was given up, writes nothing any more',
    file: 'packages/domain/src/hook-transaction.ts',
    find: '      refusal = reason\n',
    put: '      void reason\n',
    test: [limits, 'the tx of a hook'],
  },
  {
    name: 'hook-slot-of-a-kind',
    guard: 'A kind with hooks has one transaction at a time',
    file: slots,
    find: 'this.#running.has(kind) || this.#running.size',
    put: 'this.#running.size',
    test: [slotsTest, 'hold four of ten connections'],
  },
  {
    name: 'hook-slots',
    guard: 'Hooks hold a part of the pool and no more',
    file: slots,
    find: ' || this.#running.size >= this.#size) return false',
    put: ') return false',
    test: [slotsTest, 'hold four of ten connections'],
  },
  {
    name: 'hook-slots-of-the-slow',
    guard: 'Kinds whose hooks are slow leave slots to the others',
    file: slots,
    find: 'if (!this.isSlow(kind)) return true',
    put: 'if (kind) return true',
    test: [slotsTest, 'that were slow leave half'],
  },
  {
    name: 'hook-transactions-take-slots',
    guard: 'A transaction that runs hooks of what has ended takes a slot',
    file: advance,
    find: '(batch) => this.#slots.run(kind.name, act(batch), signal)',
    put: '(batch) => act(batch)()',
    test: [limits, 'hold a connection each'],
  },
  {
    name: 'hooks-beside-a-transaction',
    guard: 'Nothing runs hooks on a second connection while it holds one',
    file: advance,
    find: 'if (within) return group.hooked ? nothing :',
    put: 'if (within && !group.hooked) return',
    test: [limits, 'run no hook for a consume'],
  },
  {
    name: 'refused-beside-a-hook',
    guard: 'A verb does not wait for the hook of what is over',
    file: 'packages/domain/src/resources.ts',
    find: '    if (!this.#registry.hasAdvanceHooks(kind)) return undefined\n',
    put: '    if (kind) return undefined\n',
    test: [limits, 'no verb waits for that'],
  },
  {
    name: 'batch-halved',
    guard: 'One bad row costs the others of its batch a few calls, and not one each',
    file: advance,
    find: 'slices.push(...halves(slice))',
    put: 'slices.push(...slice.map((one) => [one]))',
    test: [limits, 'is halved until that row stands alone'],
  },
  {
    name: 'batch-left-at-a-stop',
    guard: 'A process that stops begins no other part of a batch',
    file: advance,
    find: 'if (signal?.aborted || performance.now() >= until) {',
    put: 'if (performance.now() >= until) {',
    and: [
      {
        file: advance,
        find: '(batch) => this.#slots.run(kind.name, act(batch), signal)',
        put: '(batch) => this.#slots.run(kind.name, act(batch), signal && undefined)',
      },
      {
        file: advance,
        find: '      if (signal?.aborted) return { ...nothing, more: true }\n',
        put: '',
      },
    ],
    test: [limits, 'is left to others when the process stops'],
  },
  {
    name: 'cascade-hook-budget',
    guard: 'A hook that hangs is called once in a cascade, and not for each batch',
    file: 'packages/domain/src/hook-budget.ts',
    find: '    if (this.#exceeded.has(kind)) return 0\n',
    put: '',
    test: ['packages/domain/test/hook-budget.unit.test.ts', 'exceeded their deadline'],
  },
  {
    name: 'cascade-hooks-without-time',
    guard: 'A cascade calls no hook when the time for hooks is used up',
    file: 'packages/domain/src/cascade.ts',
    find: '  if (leftMs === 0)\n',
    put: '  if (leftMs < 0)\n',
    test: [limits, 'though the transaction goes on and commits'],
  },
  {
    name: 'postponed-timer',
    guard: 'What a hook has put off has a timer for its next try',
    file: engine,
    find: '    void this.#after.postponed(refused)\n',
    put: '',
    test: [postponed, 'has a timer for its next try'],
  },
  {
    name: 'postponed-job',
    guard: 'A job whose hook has refused comes again when it is tried again',
    file: 'packages/lapse/src/waker.ts',
    find: '  if (postponedMs > 0) return { outcome: retryIn(postponedMs) }\n',
    put: '',
    test: [postponed, 'has a timer for its next try'],
  },
  {
    name: 'postponed-is-not-missed',
    guard: 'What a hook had refused does not count as a missed timer',
    file: 'packages/domain/src/alerts/measures.ts',
    find: " AND data -> 'failures' IS NULL\n",
    put: '\n',
    test: [postponed, 'is no missed timer'],
  },
  {
    name: 'kept-waiting-is-not-missed',
    guard: 'A job that a hook keeps waiting does not count as a missed timer',
    file: engine,
    find: "?.hasSentAway) ? 'job' : asked",
    put: '?.hasSentAway) ? asked : asked',
    test: [postponed, 'have fired'],
  },
  {
    name: 'reference-freed',
    guard: 'A reference is free when its holder is over, though its hook fails',
    file: 'packages/domain/src/resources.ts',
    find: "      await freeReferences(this.#db, batch, 'wait')\n",
    put: '',
    test: [freed, 'not looked at before'],
  },
  {
    name: 'reference-freed-before-a-slow-hook',
    guard: 'No issue waits for a hook that is known to be slow',
    file: advance,
    find: 'if (this.#slots.isSlow(kind.name))',
    put: 'if (!this.#slots.isSlow(kind.name))',
    test: [freed, 'is free already while a hook that was slow before is under way'],
  },
  {
    name: 'reference-of-the-live',
    guard: 'What is live keeps its reference, whatever its hooks do',
    file: references,
    find: 'AND r.reference IS NOT NULL AND ${holdsReference} AND ${isOver(sql`r`, now)}\n',
    put: 'AND r.reference IS NOT NULL AND ${holdsReference}\n',
    and: [
      {
        file: references,
        find: 'r.id = held.id AND ${holdsReference} AND ${isOver(sql`r`, now)}`)',
        put: 'r.id = held.id AND ${holdsReference}`)',
      },
    ],
    test: [freed, 'stays its own while it is live'],
  },
  {
    name: 'reference-leads-to-the-holder',
    guard: 'A reference leads to who holds it, and not to who has freed it',
    file: 'packages/domain/src/store/read.ts',
    find: 'ORDER BY ${holdsReference} DESC',
    put: "ORDER BY r.status IN ('active', 'grace') DESC",
    test: [freed, 'leads to the new one'],
  },
  {
    name: 'advance-in-a-savepoint',
    guard: 'What PostgreSQL refuses to lapse inside a transaction does not undo the transaction',
    file: advance,
    find: '      await tx.$executeRaw(sql`ROLLBACK TO SAVEPOINT lapse_advance`)\n',
    put: '',
    test: [freed, 'that PostgreSQL refuses to move is free too'],
  },
]
