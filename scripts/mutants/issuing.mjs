// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are pieces of source code.
const live = 'packages/domain/src/store/live.ts'
const transition = 'packages/domain/src/store/transition.ts'
const issue = 'packages/domain/src/store/issue.ts'

/** Lives, versions, references and uses. */
export const issuing = [
  {
    name: 'version',
    guard: 'A renewal is another version, so that the old timers are stale',
    file: transition,
    find: 'version = r.version + 1, failures = 0, reminders',
    put: 'version = r.version, failures = 0, reminders',
    test: ['packages/domain/test/renew-and-revoke.test.ts', 'J1: its event tells'],
  },
  {
    name: 'longest-life',
    guard: 'No renewal goes past the longest life',
    file: transition,
    find: "WHEN ${expiresAt} > coalesce(l.latest_at, l.issued_at + ${milliseconds(maxLife)}) THEN 'too-long'",
    put: 'WHEN ${expiresAt} > coalesce(l.latest_at, l.issued_at + ${milliseconds(maxLife)}) THEN NULL',
    test: ['packages/domain/test/renew-and-revoke.test.ts', 'B7: never past the maximum life'],
  },
  {
    name: 'shortest-life',
    guard: 'Nothing is issued that is over at once',
    file: issue,
    find: "THEN 'too-short'",
    put: 'THEN NULL',
    test: ['packages/domain/test/verbs.test.ts', 'A4'],
  },
  {
    name: 'all-or-nothing',
    guard: 'One refused draft keeps the whole statement from writing',
    file: issue,
    find: 'WHERE NOT EXISTS (SELECT 1 FROM judged WHERE refusal IS NOT NULL)',
    put: 'WHERE refusal IS NULL',
    test: ['packages/domain/test/conformance.test.ts', 'one refused draft'],
  },
  {
    name: 'reminder-ahead',
    guard: 'A reminder that is past already is never sent',
    file: live,
    find: 'WHERE ${expiresAt} - make_interval(secs => s) > ${at})`',
    put: 'WHERE ${at} IS NOT NULL)`',
    test: ['packages/domain/test/conformance.test.ts', 'every verb does in SQL'],
  },
  {
    name: 'taken-reference',
    guard: 'An issue over a taken reference is an answer and no failure',
    file: issue,
    find: '    ON CONFLICT DO NOTHING\n',
    put: '',
    test: ['packages/domain/test/references.test.ts', 'belongs to one live resource'],
  },
  {
    name: 'one-order',
    guard: 'Bulks take references in one order, and never wait in a circle',
    file: issue,
    find: 'several ? inOneOrder : empty',
    put: 'several ? empty : inOneOrder',
    test: ['packages/domain/test/verbs.race.test.ts', 'wanted by bulks in opposite order'],
  },
  {
    name: 'uses',
    guard: 'What stays when it is used up is used no more often',
    file: transition,
    find: "unless: sql`WHEN l.uses >= l.max_uses THEN 'used-up'",
    put: "unless: sql`WHEN l.uses > l.max_uses THEN 'used-up'",
    test: ['packages/domain/test/share-links.race.test.ts', 'I8: 40 unlock at once'],
  },
  {
    name: 'uses-of-each',
    guard: 'Each holder may redeem it only so often',
    file: transition,
    find: '      WHERE d.uses < coalesce((SELECT max_uses_each FROM judged), ${2 ** 31 - 1}::int)\n',
    put: '',
    test: ['packages/domain/test/redemptions.race.test.ts', '40 at once by one holder'],
  },
  {
    name: 'refused-is-not-counted',
    guard: 'A redemption that is refused is not counted',
    file: transition,
    find: 'SELECT l.id, ${holder}, 1, l.at, l.at FROM judged l WHERE l.refusal IS NULL',
    put: 'SELECT l.id, ${holder}, 1, l.at, l.at FROM judged l',
    test: ['packages/domain/test/redemptions.race.test.ts', 'what is refused is not counted'],
  },
]
