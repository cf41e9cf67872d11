import { afterAll, expect, it } from 'vitest'
import { createDomain, httpCall, type OwnVerbs } from '../src/index.ts'
import { plain } from './kinds.ts'
import { hour, testDomain } from './support.ts'

const kinds = [plain, httpCall]
const { url } = await testDomain(kinds)
const opened: { close: () => Promise<void> }[] = []
afterAll(async () => void (await Promise.all(opened.map((domain) => domain.close()))))
const verbsFor = (allowAddressesFor?: readonly string[]): OwnVerbs => {
  const secrets = ['a key for the tests of private addresses alone']
  const domain = createDomain({ url, kinds, secrets, allowAddresses: ['10.0.0.0/8'], allowAddressesFor })
  opened.push(domain)
  return domain.ownVerbs(async () => true)
}

const inside = 'http://10.1.2.3/hook'
const outside = 'https://example.com/hook'
const refused = { code: 'invalid', field: 'url' }
const { organizations } = verbsFor()
const [named, other] = await Promise.all(
  ['named', 'other'].map((reference) => organizations.create({ name: reference, reference })),
)
const [namedId, otherId] = [named?.id ?? '', other?.id ?? '']

/** What may be told to call that address: in its own name, and by an endpoint that is created with it or moved to it. */
const attempts = ({ httpCalls, webhookEndpoints }: OwnVerbs, organization?: string) => ({
  schedule: () => httpCalls.schedule({ url: inside, organization, expiresInMs: hour }),
  create: () => webhookEndpoints.create({ url: inside, organization }),
  move: async () => {
    const { endpoint } = await webhookEndpoints.create({ url: outside, organization })
    return webhookEndpoints.update(endpoint.id, { url: inside })
  },
})

it('addresses that are not public are for the calls and the endpoints of no organization', async () => {
  for (const attempt of Object.values(attempts(verbsFor()))) await attempt()
})

it.each(['schedule', 'create', 'move'] as const)(
  'are refused to an organization that is not named: %s',
  async (way) => {
    for (const allowed of [undefined, [namedId]])
      for (const organization of [otherId, 'other']) {
        const verbs = verbsFor(allowed)
        const before = await verbs.webhookEndpoints.list({ organizationId: otherId }, { limit: 200 })
        await expect(attempts(verbs, organization)[way]()).rejects.toMatchObject(refused)
        const after = await verbs.webhookEndpoints.list({ organizationId: otherId }, { limit: 200 })
        expect(after.filter((endpoint) => endpoint.url === inside)).toEqual([])
        if (way !== 'move') expect(after).toEqual(before)
        expect(await verbs.httpCalls.list({ organizationId: otherId })).toEqual([])
      }
  },
)

it('are for an organization that is named, by its id, and for every one with *', async () => {
  for (const attempt of Object.values(attempts(verbsFor([namedId.toUpperCase()]), 'named'))) await attempt()
  for (const attempt of Object.values(attempts(verbsFor(['*']), 'named'))) await attempt()
  await attempts(verbsFor(['*']), otherId).create()
})

it('are not for an organization that only a misspelt name allows', () => {
  for (const wrong of ['named', '', '**', `${namedId} `]) expect(() => verbsFor([wrong])).toThrow(TypeError)
})
