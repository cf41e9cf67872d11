import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** A large text that stays the same as long as the process: written and compressed once, and sent to those who lack it. */
export const lastingText = (type: string, write: () => string) => {
  const make = () => {
    const text = write()
    // Weak: the compressed text and the plain one share it.
    const etag = `W/"${createHash('sha256').update(text).digest('base64url')}"`
    return { text, etag, gzipped: gzipSync(text) }
  }
  let made: ReturnType<typeof make> | undefined
  return async ({ headers }: FastifyRequest, reply: FastifyReply) => {
    made ??= make()
    reply.headers({ 'cache-control': 'no-cache', etag: made.etag, vary: 'accept-encoding' }).type(type)
    if (headers['if-none-match']?.includes(made.etag)) return reply.code(304).send()
    if (!/\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(headers['accept-encoding'] ?? '')) return reply.send(made.text)
    return reply.header('content-encoding', 'gzip').send(made.gzipped)
  }
}
