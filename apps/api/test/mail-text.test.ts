import { describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

const { call } = await testApi()
const { body: organization } = await call('POST', '/v1/organizations', { name: 'Acme' })

/** Every text of others that our mails hold, by where it comes in. */
const texts: [path: string, field: string, (text: string) => Body][] = [
  ['/v1/trials', 'product', (product) => ({ product })],
  ['/v1/trials', 'plan', (plan) => ({ plan })],
  ['/v1/resources', 'payload.product', (product) => ({ kind: 'trial', payload: { product } })],
  ['/v1/organizations', 'name', (name) => ({ name })],
  ['/v1/users', 'name', (name) => ({ name, email: 'ada@example.com' })],
  ['/v1/api-tokens', 'name', (name) => ({ name, scopes: ['trials:read'] })],
  ['/v1/share-links', 'title', (title) => ({ title })],
  ['/v1/share-links', 'shared_by', (shared_by) => ({ title: 'Report', shared_by })],
  ['/v1/webhook-endpoints', 'description', (description) => ({ url: 'https://example.com/', description })],
  [
    '/v1/access-grants',
    'reason',
    (reason) => ({ resource: 'document:42', relation: 'viewer', subject: 'user:7', reason }),
  ],
  ['/v1/access-grants', 'relation', (relation) => ({ resource: 'document:42', relation, subject: 'user:7' })],
  [
    '/v1/invites',
    'message',
    (message) => ({
      organization: organization.id,
      email: 'grace@example.com',
      role: 'member',
      message,
      deliver: 'return',
    }),
  ],
]

const turning = [...'\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069']

describe.each(texts)('a text that stands in mails: %s %s', (path, field, bodyOf) => {
  it('is refused with control characters, with what turns text around, and when it is too long', async () => {
    const hostile = ['\u001b[2Jx', '\u0085\u0007x', ...turning.map((mark) => `x${mark}y`), 'x'.repeat(501)]
    for (const text of hostile) {
      const { status, body } = await call('POST', path, bodyOf(text))
      expect([text, status, body.field]).toEqual([text, 422, field])
    }
  })

  it('is one line', async () => {
    const { status, body } = await call('POST', path, bodyOf('one\r\nBcc: two@example.com'))
    if (field === 'message') expect([status, body.message]).toEqual([201, 'one Bcc: two@example.com'])
    else expect([status, body.field]).toEqual([422, field])
  })
})
