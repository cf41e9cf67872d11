import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { lastingPorts } from '../services/ports.mjs'

const taken = async (port = 0) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const close = () => new Promise<void>((resolve) => void server.close(() => resolve()))
  onTestFinished(close)
  return { port: (server.address() as AddressInfo).port, close }
}

const start = () => {
  const folder = mkdtempSync(join(tmpdir(), 'lapse-ports-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'ports.json')
  const said: string[] = []
  return { file, said, portFor: lastingPorts(file, (line: string) => said.push(line)) }
}

it('a replacement for a taken port is said, and is the same after a restart, whether or not the first is free again', async () => {
  const { said, portFor } = start()
  const first = await taken()
  const replacement = await portFor('api', first.port, '127.0.0.1')
  expect(replacement).not.toBe(first.port)
  expect(said.splice(0)).toEqual([expect.stringContaining(`api: port ${replacement} in place of ${first.port}`)])
  expect(await portFor('api', first.port, '127.0.0.1')).toBe(replacement)
  await first.close()
  expect(await portFor('api', first.port, '127.0.0.1')).toBe(replacement)
  expect(said.splice(0)).toHaveLength(2)
  // Of another port, and of another name, it is none.
  expect(await portFor('worker', first.port, '127.0.0.1')).toBe(first.port)
  expect(said).toEqual([])
})

it('goes back to the first when what took its place is taken as well, and forgets that', async () => {
  const { file, said, portFor } = start()
  const first = await taken()
  const replacement = await portFor('api', first.port, '127.0.0.1')
  await first.close()
  const second = await taken(replacement)
  expect(await portFor('api', first.port, '127.0.0.1')).toBe(first.port)
  await second.close()
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({})
  expect(said).toHaveLength(1)
})

it('writes what cannot be read anew', async () => {
  const { file, portFor } = start()
  const { port } = await taken()
  for (const broken of ['{', 'null', `{"api:${port}": "x"}`, `{"api:${port}": 99999}`]) {
    writeFileSync(file, broken)
    const replacement = await portFor('api', port, '127.0.0.1')
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ [`api:${port}`]: replacement })
  }
})
