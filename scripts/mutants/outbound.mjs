// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are pieces of source code.
const call = 'packages/lapse/src/outbound/call.ts'
const callTest = 'packages/lapse/test/call.test.ts'

const judgedNames = { file: call, find: 'if (!targets.every(mayCall)) throw', put: 'if (targets.length === 0) throw' }
const judgedPeers = {
  file: call,
  find: 'if (!mayCall(remoteAddress)) throw',
  put: 'if (!remoteAddress) throw',
}

/** Calls, webhooks and mails: where they may go, what proves them, and how fast. */
export const outbound = [
  {
    name: 'address-after-resolution',
    guard: 'A name is judged by the addresses that it stands for at the very call',
    ...judgedNames,
    test: [callTest],
  },
  {
    name: 'address-of-the-peer',
    guard: 'Nothing is sent before it is certain who has taken the connection',
    ...judgedPeers,
    redundant: 'address-and-peer',
    test: [callTest],
  },
  {
    name: 'address-and-peer',
    guard: 'The addresses of a name are judged, and the peer of its connection: neither',
    ...judgedNames,
    and: [judgedPeers],
    test: [callTest, 'H2: a name is judged'],
  },
  {
    name: 'pinned-addresses',
    guard: 'The connection goes to what was judged, and nothing is resolved again',
    file: call,
    find: '    lookup: pinnedTo(targets),\n',
    put: '    ...(targets.length > 99 && { lookup: pinnedTo(targets) }),\n',
    test: [callTest, 'each call asks once'],
  },
  {
    name: 'lookup-shares',
    guard: 'The names of one organization take no more lookups than its share, and leave the reserve to others',
    file: 'packages/lapse/src/outbound/shares.ts',
    find: 'return own < perShare && used < (own < sure ? total : total - reserved)',
    put: 'return own < total && used < (own < sure ? total : total)',
    test: ['packages/lapse/test/shares.unit.test.ts'],
  },
  {
    name: 'lookup-cancelled',
    guard: 'A lookup ends when its call is called off or its time is over',
    file: 'packages/lapse/src/outbound/resolve.ts',
    find: 'const cancel = () => resolver.cancel()',
    put: 'const cancel = () => resolver.getServers()',
    test: ['packages/lapse/test/resolve.test.ts', 'that is called off ends at once'],
  },
  {
    name: 'before-the-request',
    guard: 'Not a byte of a request is written before its attempt is recorded',
    file: call,
    find: 'await beforeLastByte?.().catch(',
    put: 'void beforeLastByte?.().catch(',
    test: [callTest, 'not even a header is written'],
  },
  {
    name: 'request-sent',
    guard: 'A request that was written whole and got no answer is known as sent',
    file: call,
    find: '      progress.sent = true\n',
    put: '      progress.sent = false\n',
    test: [callTest, 'was sent when it was written to its last byte'],
  },
  {
    name: 'private-addresses',
    guard: 'Only public addresses are called, and those of the list',
    file: 'packages/domain/src/outbound/addresses.ts',
    find: "return address.range() === 'unicast' && address.toString() !== wireServer.toString()",
    put: 'return address.toString() !== wireServer.toString()',
    test: ['packages/domain/test/addresses.unit.test.ts'],
  },
  {
    name: 'hidden-addresses',
    guard: 'An address of IPv4 that hides in one of IPv6 is what it is',
    file: 'packages/domain/src/outbound/addresses.ts',
    find: "if (address.match(translated, 96)) return isPublic(address.toByteArray().slice(12).join('.'))",
    put: 'if (address.match(translated, 96)) return true',
    test: ['packages/domain/test/addresses.unit.test.ts'],
  },
  {
    name: 'webhook-signature',
    guard: 'A webhook’s signature is over its id, its time and its body',
    file: 'packages/lapse/src/delivery/webhook.ts',
    find: 'signature(secret, `${id}.${timestamp}.${body}`)',
    put: 'signature(secret, `${id}.${body}`)',
    test: ['packages/lapse/test/senders.test.ts', 'finds access denied already'],
  },
  {
    name: 'both-secrets-sign',
    guard: 'While one secret takes the place of another, both sign',
    file: 'packages/domain/src/webhooks/sealing.ts',
    find: 'endpoint.overlaps && previous !== undefined ? [previous] : []',
    put: 'endpoint.overlaps && previous === undefined ? [previous ?? secret] : []',
    test: ['packages/lapse/test/senders.test.ts', 'is signed with both secrets'],
  },
  {
    name: 'old-secret-ends',
    guard: 'The secret before signs no longer than its overlap',
    file: 'packages/domain/src/webhooks/endpoint-store.ts',
    find: 'coalesce(previous_until > ${now}, false) AS overlaps',
    put: 'coalesce(previous_until IS NOT NULL, false) AS overlaps',
    test: ['packages/domain/test/webhooks.test.ts', 'signs beside the one before for a day'],
  },
  {
    name: 'secrets-in-answers',
    guard: 'The log of an answer holds no secret that was sent',
    file: 'packages/lapse/src/outbound/answer.ts',
    find: 'return all.reduce(without, text.slice(0, looksAt)).slice(0, longestExcerpt)',
    put: 'return all.slice(0, 0).reduce(without, text.slice(0, looksAt)).slice(0, longestExcerpt)',
    test: ['packages/lapse/test/senders.test.ts', 'without any secret of ours'],
  },
  {
    name: 'mail-rate',
    guard: 'No second sees more mails than may go, over all processes',
    file: 'packages/queue/src/pace.ts',
    find: 'if wait > 0 and wait <= span then return wait end',
    put: 'if wait > 0 and wait <= 0 then return wait end',
    test: ['packages/queue/test/pace.race.test.ts'],
  },
  {
    name: 'last-byte',
    guard: 'The server has a mail only when it may go',
    file: 'packages/lapse/src/mail/mailer.ts',
    find: 'if (mayGo) mail.message.transform(() => heldBack(mayGo))',
    put: 'if (mayGo) mail.message.transform(() => heldBack(async () => void mayGo()))',
    test: ['packages/lapse/test/mailer.test.ts', 'takes nothing before its last byte'],
  },
]
