import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))

describe('chaos', () => {
  it('every fault once, with a fixed seed: what clients and receivers have seen breaks no rule', async () => {
    const command = spawn(process.execPath, ['scripts/chaos.mjs', '--brief'], { cwd: root, env: process.env })
    const ended = once(command, 'close')
    onTestFinished(async () => {
      // It takes down what it has brought up.
      command.kill('SIGTERM')
      await ended
    })
    let output = ''
    for (const stream of [command.stdout, command.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    const [code] = await ended
    expect(output).toContain('Every rule holds.')
    expect(code).toBe(0)
  }, 420_000)
})
