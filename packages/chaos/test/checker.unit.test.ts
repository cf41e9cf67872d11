import { describe, expect, it } from 'vitest'
import { check, ruleNames } from '../src/checker/check.ts'
import type { Answer, Arrival, FinalEvent, History, KindName, Operation, Verb } from '../src/history.ts'

const id = '019abcde-0000-7000-8000-000000000001'
const life = 'pass-1'
const done = (endsAt?: number): Answer => ({ is: 'done', ...(endsAt !== undefined && { endsAt }) })
const denied = (reason: string): Answer => ({ is: 'denied', reason })
const unknown: Answer = { is: 'unknown', why: 'no answer' }

const operation = (verb: Verb, start: number, answer: Answer, lifeMs?: number): Operation => ({
  ...{ life, verb, start, end: start + 10, answer },
  ...(lifeMs && { lifeMs }),
})

const event = (n: number, type: string, at: number, trigger = 'job'): FinalEvent => ({
  ...{ id: String(n), resourceId: id, type, version: 1, at, trigger, latenessMs: 5 },
})

interface Story {
  kind?: KindName
  maxUses?: number
  staysUsedUp?: boolean
  operations?: Operation[]
  events?: FinalEvent[]
  resource?: Partial<History['final']['resources'][number]>
}

/** One life in which all is well but for what is said: issued at 1,000 for nine seconds, expired, told, and checked. */
const story = ({ kind = 'seat', maxUses = 1, staysUsedUp = false, ...rest }: Story = {}): History => {
  const { operations, events, resource } = rest
  const all = events ?? [event(1, 'issued', 1_005, 'manual'), event(2, 'expired', 10_005)]
  return {
    lives: [{ name: life, kind, id, maxUses, staysUsedUp }],
    operations: operations ?? good,
    arrivals: all.map((one) => arrival(one.id, one.type, one.at)),
    faults: [],
    losses: [],
    exits: [],
    serverErrors: [],
    uncertaintyMs: 2,
    final: {
      at: 60_000,
      resources: [{ id, kind, life, status: 'expired', version: 1, uses: 0, endsAt: 10_000, ...resource }],
      events: all,
      deliveries: all.map((one) => ({
        ...{ id: `delivery-${one.id}`, resourceId: id, event: one.type, channel: 'webhook', status: 'sent' },
        lastError: null,
      })),
      givenBack: kind === 'seat' && all.some(({ type }) => type === 'expired') ? [id] : [],
      joined: [],
    },
  }
}

const arrival = (about: string, type: string, at: number): Arrival => ({
  ...{ channel: 'webhook', key: `delivery-${about}`, about, whose: id, type, at: at + 20, accepted: true },
})

const good = [
  operation('issue', 1_000, done(10_000), 9_000),
  operation('check', 5_000, { is: 'allowed' }),
  operation('check', 9_985, { is: 'allowed' }),
  operation('check', 9_995, denied('expired')),
  operation('check', 11_000, denied('expired')),
]

const broken = (history: History) => [...new Set(check(history).map(({ rule }) => rule))]
const withOperations = (...more: Operation[]) => story({ operations: [...good, ...more] })
const changed = (change: (final: History['final']) => Partial<History['final']>, story_ = story()): History => ({
  ...story_,
  final: { ...story_.final, ...change(story_.final) },
})

/** One whose checks move its end: issued at 1,000 for nine seconds, and nine more from its use at 5,000. */
const sliding = (...more: Operation[]) => {
  const use = (start: number, answer: Answer) => operation('check', start, answer, 9_000)
  return story({
    kind: 'session',
    operations: [
      operation('issue', 1_000, done(10_000), 9_000),
      use(5_000, { is: 'allowed', endsAt: 14_005 }),
      use(13_990, { is: 'allowed', endsAt: 14_005 }),
      use(14_010, denied('ended')),
      ...more,
    ],
    events: [event(1, 'issued', 1_005, 'manual'), event(2, 'renewed', 5_005, 'manual'), event(3, 'expired', 14_010)],
    resource: { version: 2, endsAt: 14_005 },
  })
}

/** One that stays when it is used up: used once, and that opened it until 8,000. */
const usedUp = (...more: Operation[]) =>
  story({
    ...{ kind: 'share-link', staysUsedUp: true },
    operations: [
      ...good,
      operation('consume', 3_000, done()),
      operation('consume', 4_000, denied('ended')),
      operation('check', 4_100, { is: 'allowed' }),
      { ...operation('check', 9_000, denied('ended')), goodUntil: 8_000 },
      ...more,
    ],
    events: [event(1, 'issued', 1_005, 'manual'), event(2, 'used', 3_005, 'manual'), event(3, 'expired', 10_005)],
    resource: { uses: 1 },
  })

/** The same while the receiver of somebody else hangs, from 9,000 to 14,000. */
const besideNoise = (arrivals = story().arrivals): History => ({
  ...story(),
  arrivals,
  faults: [{ name: 'a receiver hangs', start: 9_000, end: 14_000, fails: false, delays: false, isNoisy: true }],
})

const joining = (joined: string[], type = 'consumed') => {
  const accepted = story({
    kind: 'invite',
    operations: [good[0] as Operation, operation(type === 'consumed' ? 'consume' : 'revoke', 3_000, done())],
    events: [event(1, 'issued', 1_005, 'manual'), event(2, type, 3_005, 'manual')],
    resource: { status: type, uses: type === 'consumed' ? 1 : 0 },
  })
  const mail = (about: string) => ({ ...arrival(about, 'issued', 1_005), channel: 'email' as const, key: 'mail' })
  return {
    ...accepted,
    arrivals: [...accepted.arrivals, mail('the issue')],
    final: {
      ...accepted.final,
      joined,
      deliveries: [
        ...accepted.final.deliveries,
        { id: 'mail', resourceId: id, event: 'issued', channel: 'email', status: 'sent', lastError: null },
      ],
    },
  }
}

describe('the checker lets pass', () => {
  it('a life in which all is well', () => {
    expect(check(story())).toEqual([])
  })

  it('webhooks that arrive while somebody else’s receiver hangs, or whose event came too late to tell', () => {
    expect(check(besideNoise())).toEqual([])
    expect(check(besideNoise([arrival('1', 'issued', 1_005), arrival('2', 'expired', 11_400)]))).toEqual([])
  })

  it('a check under way at the end, either way', () => {
    const across = (answer: Answer) => ({ ...operation('check', 9_990, answer), end: 10_050 })
    expect(broken(withOperations(across({ is: 'allowed' }), across(denied('expired'))))).toEqual([])
  })

  it('either end, while a renewal that nobody answered may have been done', () => {
    const renewal = operation('renew', 8_000, unknown, 9_000)
    const both = [operation('check', 16_000, { is: 'allowed' }), operation('check', 16_050, denied('expired'))]
    const later = {
      events: [event(1, 'issued', 1_005, 'manual'), event(2, 'renewed', 8_005, 'manual'), event(3, 'expired', 17_005)],
    }
    const operations = [...good.slice(0, 2), renewal, ...both]
    expect(broken(story({ operations, ...later, resource: { version: 2, endsAt: 17_000 } }))).toEqual([])
    expect(broken(story({ operations }))).toEqual([])
  })

  it('a copy for each loss', () => {
    const twice = story()
    const arrivals = [...twice.arrivals, { ...arrival('2', 'expired', 12_000), at: 12_500 }]
    expect(broken({ ...twice, arrivals, losses: [10_500] })).toEqual([])
  })

  it('what ends late while PostgreSQL is away, and an error then', () => {
    const late = story({ events: [event(1, 'issued', 1_005, 'manual'), event(2, 'expired', 55_000)] })
    const faults = [{ name: 'away', start: 9_000, end: 40_000, fails: true, delays: true }]
    const serverErrors = [{ since: 41_000, at: 41_010, status: 503, where: 'GET /', body: '' }]
    expect(broken({ ...late, faults, serverErrors })).toEqual([])
    expect(broken({ ...late, serverErrors })).toEqual(['not-ended-in-time', 'server-error'])
  })

  it('what goes on living with each use, until it is not used any more', () => {
    expect(check(sliding())).toEqual([])
    const lost = operation('check', 13_000, unknown, 9_000)
    expect(broken(sliding(lost, operation('check', 21_900, { is: 'allowed' }, 9_000)))).not.toContain(
      'alive-after-its-end',
    )
  })

  it('what is used up and stays, and what it has opened being closed before it', () => {
    expect(check(usedUp())).toEqual([])
  })

  it('one member for one invite that was accepted, and none for one that was not', () => {
    expect(check(joining([life]))).toEqual([])
    expect(check(joining([], 'revoked'))).toEqual([])
  })

  it('an issue that nobody answered, done or not', () => {
    const history = story()
    const lives = [{ name: life, kind: 'seat' as const, maxUses: 1 }]
    const operations = [operation('issue', 1_000, unknown, 9_000)]
    const nothing = { resources: [], events: [], deliveries: [], givenBack: [] }
    expect(broken({ ...history, lives, operations })).toEqual([])
    expect(broken({ ...history, lives, operations, arrivals: [], final: { ...history.final, ...nothing } })).toEqual([])
  })
})

describe('the checker sees', () => {
  const ended = [event(1, 'issued', 1_005, 'manual'), event(2, 'revoked', 4_005, 'manual')]
  const cases: Record<string, [rule: string, History]> = {
    'that it was let in after its end': [
      'alive-after-its-end',
      withOperations(operation('check', 10_020, { is: 'allowed' })),
    ],
    'that it was used after its end': ['alive-after-its-end', withOperations(operation('consume', 10_020, done()))],
    'that it was renewed after its end': [
      'alive-after-its-end',
      withOperations(operation('renew', 10_020, done(20_000), 9_000)),
    ],
    'that it was let in after a shorter end was acknowledged': [
      'alive-after-its-end',
      withOperations(operation('renew', 3_000, done(4_000), 1_000), operation('check', 4_500, { is: 'allowed' })),
    ],
    'that it was let in after the end that its last use gave it': [
      'alive-after-its-end',
      sliding(operation('check', 14_030, { is: 'allowed', endsAt: 23_000 }, 9_000)),
    ],
    'that it was turned away before the end that its last use gave it': [
      'ended-early',
      sliding(operation('check', 13_000, denied('ended'), 9_000)),
    ],
    'that it was used when it was used up, and stays': [
      'alive-after-its-end',
      usedUp(operation('consume', 5_000, done())),
    ],
    'that what it has opened is closed too early': [
      'ended-early',
      usedUp({ ...operation('check', 7_000, denied('ended')), goodUntil: 8_000 }),
    ],
    'that an invite was used, and made no member': ['uses-miscounted', joining([])],
    'that an invite made two members': ['uses-miscounted', joining([life, life])],
    'that an invite made a member without its use': ['uses-miscounted', joining([life], 'revoked')],
    'that it was let in after it was revoked': [
      'alive-after-its-end',
      story({
        operations: [
          ...good.slice(0, 1),
          operation('revoke', 4_000, done()),
          operation('check', 5_000, { is: 'allowed' }),
        ],
        events: ended,
        resource: { status: 'revoked' },
      }),
    ],
    'that it was turned away before its end': [
      'ended-early',
      withOperations(operation('check', 9_000, denied('expired'))),
    ],
    'that it was turned away before its renewed end': [
      'ended-early',
      withOperations(operation('renew', 8_000, done(20_000), 12_000), operation('check', 12_000, denied('expired'))),
    ],
    'that it is said to be revoked, and nobody has': [
      'ended-early',
      withOperations(operation('check', 9_000, denied('revoked'))),
    ],
    'that it is said to be unknown, and is known': [
      'ended-early',
      withOperations(operation('check', 5_000, denied('unknown'))),
    ],
    'that it expired before its end': [
      'ended-early',
      story({ events: [event(1, 'issued', 1_005, 'manual'), event(2, 'expired', 9_900)] }),
    ],
    'that its lateness is below zero': [
      'ended-early',
      story({ events: [event(1, 'issued', 1_005, 'manual'), { ...event(2, 'expired', 10_005), latenessMs: -0.4 }] }),
    ],
    'that it is told before its end': [
      'ended-early',
      { ...story(), arrivals: [arrival('1', 'issued', 1_005), { ...arrival('2', 'expired', 9_000) }] },
    ],
    'that it has never ended': [
      'not-ended-in-time',
      story({ events: [event(1, 'issued', 1_005, 'manual')], resource: { status: 'active' } }),
    ],
    'that it ended late': [
      'not-ended-in-time',
      story({ events: [event(1, 'issued', 1_005, 'manual'), event(2, 'expired', 41_000)] }),
    ],
    'that it ended twice': [
      'ended-more-than-once',
      story({
        events: [event(1, 'issued', 1_005, 'manual'), event(2, 'expired', 10_005), event(3, 'expired', 10_100)],
      }),
    ],
    'that something happened after its end': [
      'ended-more-than-once',
      story({
        events: [event(1, 'issued', 1_005, 'manual'), event(2, 'expired', 10_005), event(3, 'reminded', 10_100)],
      }),
    ],
    'that its row and its audit differ': ['ended-more-than-once', story({ resource: { status: 'consumed' } })],
    'that a hook ran twice': ['ended-more-than-once', changed(() => ({ givenBack: [id, id] }))],
    'that a hook did not run': ['ended-more-than-once', changed(() => ({ givenBack: [] }))],
    'that an acknowledged issue is gone': [
      'acknowledged-and-lost',
      changed(() => ({ resources: [], events: [], deliveries: [], givenBack: [] })),
    ],
    'that one issue made two': [
      'acknowledged-and-lost',
      changed(({ resources }) => ({
        resources: [...resources, ...resources.map((one) => ({ ...one, id: 'another' }))],
      })),
    ],
    'that an acknowledged renewal is gone': [
      'acknowledged-and-lost',
      withOperations(operation('renew', 5_000, done(10_000), 5_000)),
    ],
    'that it has an end that nobody was told': ['acknowledged-and-lost', story({ resource: { endsAt: 12_000 } })],
    'that an acknowledged use is gone': ['uses-miscounted', withOperations(operation('consume', 5_000, done()))],
    'that it was used more often than it may be': [
      'uses-miscounted',
      story({
        operations: [...good, operation('consume', 5_000, done()), operation('consume', 5_001, done())],
        events: [
          event(1, 'issued', 1_005, 'manual'),
          event(2, 'used', 5_005, 'manual'),
          event(3, 'consumed', 5_006, 'manual'),
        ],
        resource: { uses: 2, status: 'consumed' },
      }),
    ],
    'that it was refused without a reason': [
      'refused-without-reason',
      withOperations(operation('renew', 5_000, { is: 'refused', status: 422, code: 'invalid' })),
    ],
    'that an event has no side effect': [
      'events-and-ledger-differ',
      changed(({ deliveries }) => ({ deliveries: deliveries.slice(1) })),
    ],
    'that a side effect has no event': [
      'events-and-ledger-differ',
      changed(({ deliveries }) => ({ deliveries: [...deliveries, ...deliveries.slice(1)] })),
    ],
    'that a mail is missing that a pass owes': ['events-and-ledger-differ', story({ kind: 'pass' })],
    'that a side effect was given up': [
      'side-effect-missing',
      changed(({ deliveries }) => ({ deliveries: deliveries.map((one) => ({ ...one, status: 'dead' })) })),
    ],
    'that nothing has arrived of what is said to be sent': ['side-effect-missing', { ...story(), arrivals: [] }],
    'that a side effect came twice': [
      'side-effect-doubled',
      { ...story(), arrivals: [...story().arrivals, arrival('2', 'expired', 10_500)] },
    ],
    'that a copy came under another id': [
      'side-effect-doubled',
      {
        ...story(),
        losses: [10_100],
        arrivals: [...story().arrivals, { ...arrival('2', 'expired', 10_500), key: 'delivery-1' }],
      },
    ],
    'that something came which no ledger knows': [
      'side-effect-doubled',
      { ...story(), arrivals: [...story().arrivals, arrival('9', 'renewed', 10_500)] },
    ],
    'that a webhook came only when somebody else had stopped hanging': [
      'held-up-by-another',
      besideNoise([arrival('1', 'issued', 1_005), arrival('2', 'expired', 15_000)]),
    ],
    'an error without a fault': [
      'server-error',
      { ...story(), serverErrors: [{ since: 1, at: 2, status: 500, where: 'GET /', body: '' }] },
    ],
    'a process that is slow to stop': ['slow-to-stop', { ...story(), exits: [{ name: 'api-1', code: 0, ms: 10_500 }] }],
    'a process that does not stop by itself': [
      'slow-to-stop',
      { ...story(), exits: [{ name: 'api-1', code: null, ms: 500 }] },
    ],
  }

  for (const [what, [rule, history]] of Object.entries(cases))
    it(what, () => {
      expect(broken(history)).toContain(rule)
    })

  it('each of its rules broken', () => {
    expect(new Set(Object.values(cases).map(([rule]) => rule))).toEqual(new Set(ruleNames))
  })
})
