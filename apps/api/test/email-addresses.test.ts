import { readdirSync, readFileSync } from 'node:fs'
import { emailAddress } from 'lapse'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type Body, testApi } from './api.ts'

const api = await testApi()

const { body: description } = await api.call('GET', '/openapi.json', undefined, { authorization: '' })

/** A field that may be null is one of two schemas. */
const textOf = (schema: Body): Body => schema.anyOf?.find(({ type }: Body) => type === 'string') ?? schema

/** The objects of a body: itself, the branches of a union, and the items of a list. */
const objectsOf = (schema: Body): Body[] => [
  schema,
  ...[...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap(objectsOf),
  ...Object.values<Body>(schema.properties ?? {}).flatMap((property) =>
    property.items ? objectsOf(property.items) : [],
  ),
]

const isAddress = (name: string): boolean => /(?:^|_)(?:e?mail|contact|address)$/.test(name)
/** What a suppression is found by: a kind may write to what is no address of the internet, such as root@localhost. */
const lookups = ['GET /v1/mail-suppressions address']

/** Every field of every body and query that takes an address, whatever its schema is. */
const fields = Object.entries<Body>(description.paths).flatMap(([path, methods]) =>
  Object.entries<Body>(methods).flatMap(([verb, operation]) => {
    const media = operation.requestBody?.content['application/json']
    const inBody = objectsOf(media?.schema ?? {}).flatMap(({ properties = {} }) => Object.entries<Body>(properties))
    const inQuery = (operation.parameters ?? []).map((one: Body): [string, Body] => [one.name, one.schema])
    return [
      ...inBody.map((one) => ({ one, query: false })),
      ...inQuery.map((one: [string, Body]) => ({ one, query: true })),
    ]
      .map(({ one: [field, schema], query }) => ({
        path,
        method: verb.toUpperCase(),
        field,
        schema: textOf(schema),
        query,
        media,
      }))
      .filter(({ field, schema }) => isAddress(field) || /email/.test(schema.format ?? ''))
  }),
)
const entrances = fields
  .map((found) => ({ ...found, name: `${found.method} ${found.path} ${found.field}` }))
  .filter(({ name }) => !lookups.includes(name))

/** An entrance asked with its own example, and this address in it. */
const ask = ({ path, method, field, query, media }: (typeof entrances)[number], address: string) => {
  const at = path.replaceAll(/\{\w+\}/g, '019abcde-0000-7000-8000-000000000001')
  if (query) return api.call(method, `${at}?${field}=${encodeURIComponent(address)}`)
  return api.call(method, at, { ...(media.example ?? media.examples?.example?.value), [field]: address })
}

it('no source of ours has another rule', () => {
  const root = new URL('../../../', import.meta.url)
  const sources = ['packages', 'apps'].flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
      .filter((file) => /^[\w-]+\/src\/.*\.ts$/.test(file) && !file.includes('generated'))
      .map((file) => `${folder}/${file}`),
  )
  expect(sources.length).toBeGreaterThan(200)
  // A schema of an answer may say that a text is an address; what comes in has the rule.
  const own = (file: string) =>
    /\bemail\(|format: 'email'/.test(read(file)) || (file.includes('/kinds/') && /\bemail: z\./.test(read(file)))
  const read = (file: string) => readFileSync(new URL(file, root), 'utf8')
  const others = sources.filter(own)
  // A kind of its tests, as an application has one.
  expect(others).toEqual(['packages/chaos/src/lapse.config.ts'])
})

it('there are such fields, of everything that takes an address', () => {
  expect(entrances.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      ...['POST /v1/trials email', 'POST /v1/access-grants email', 'POST /v1/invites email', 'POST /v1/users email'],
      ...['POST /v1/webhook-endpoints contact', 'POST /v1/api-tokens email', 'POST /v1/verifications email'],
      ...['GET /v1/users email', 'PATCH /v1/users/{id} email', 'POST /v1/sign-in email'],
    ]),
  )
})

describe.each(entrances)('$name', (entrance) => {
  it('has the schema of all addresses', () => {
    const { $schema, ...shared } = z.toJSONSchema(emailAddress, { io: 'input' })
    expect(entrance.schema).toMatchObject(shared)
  })
})

const direct = entrances.filter(({ media, query, field }) => query || media?.schema.properties?.[field])

describe.each(direct)('$name', (entrance) => {
  it.each([
    'a/b@example.com',
    'info&x@example.com',
    'user=tag@example.com',
    'user@münchen.example',
    ' Ada@Example.com ',
  ])('takes %j', async (address) => {
    const { status, body } = await ask(entrance, address)
    expect([status, body?.field]).not.toEqual([422, entrance.field])
  })

  it.each([
    'ada@localhost',
    'ada@example.com, eve@example.com',
    'ada@example.com\r\nBcc: eve@example.com',
    'ada@example.com/x',
  ])('refuses %j', async (address) => {
    expect((await ask(entrance, address)).body).toMatchObject({
      ...{ status: 422, field: entrance.field, detail: 'That is not an e-mail address.' },
    })
  })
})
