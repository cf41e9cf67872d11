import { createServer } from 'node:net'
import { createDomain } from '@lapse/domain'
import { afterAll, expect, it } from 'vitest'
import { databaseReport } from '../src/boot.ts'

/** Answers every beginning of a session with this error, in PostgreSQL's protocol, as a pooler does. */
const poolerThatSays = async (message: string): Promise<string> => {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C08P01\0M${message}\0\0`)
  const length = Buffer.alloc(4)
  length.writeInt32BE(fields.length + 4)
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(Buffer.concat([Buffer.from('E'), length, fields])))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterAll(() => void server.close())
  const { port } = server.address() as { port: number }
  return `postgresql://lapse_app@127.0.0.1:${port}/lapse`
}

it.each([
  ['unsupported startup parameter: statement_timeout', 'statement_timeout'],
  ['unsupported startup parameter in options: plan_cache_mode', 'plan_cache_mode'],
])('a pooler that says "%s" is no PostgreSQL that is away: the error names %s and what to do', async (said, name) => {
  const domain = createDomain({ url: await poolerThatSays(said), kinds: [] })
  afterAll(() => domain.close())
  await expect(databaseReport(domain)).rejects.toThrow(
    new RegExp(`refuses the startup parameter ${name}\\. .*docs/deploy\\.md, "Poolers"`),
  )
})
