import { describe, expect, it } from 'vitest'
import { semaphore } from '../src/semaphore.ts'

/** Who has come in, in their order, and how each of them leaves. */
const room = (places: number) => {
  const { acquire } = semaphore(places)
  const inside: string[] = []
  const leaves = new Map<string, () => void>()
  const come = (name: string, priority: number, signal?: AbortSignal, share = 'one') => {
    const until = new Promise<void>((resolve) => leaves.set(name, resolve))
    return acquire({ priority, share }, until, signal).then(() => void inside.push(name))
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  const leave = async (name: string) => {
    leaves.get(name)?.()
    await settled()
  }
  return { inside, come, leave, settled }
}

describe('a semaphore', () => {
  it('lets in so many at once', async () => {
    const { inside, come, leave, settled } = room(2)
    for (const name of ['a', 'b', 'c', 'd']) void come(name, 1)
    await settled()
    expect(inside).toEqual(['a', 'b'])
    await leave('b')
    expect(inside).toEqual(['a', 'b', 'c'])
    await leave('a')
    await leave('c')
    await leave('d')
    for (const name of ['e', 'f', 'g']) void come(name, 1)
    await settled()
    expect(inside).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
  })

  it('lets in the lowest number first, and of one number who came first', async () => {
    const { inside, come, leave, settled } = room(1)
    const all = [
      ['first', 2],
      ['notice 1', 2],
      ['alert', 1],
      ['notice 2', 2],
      ['token 1', 0],
      ['token 2', 0],
    ] as const
    for (const [name, priority] of all) void come(name, priority)
    await settled()
    for (const name of ['first', 'token 1', 'token 2', 'alert', 'notice 1']) await leave(name)
    expect(inside).toEqual(['first', 'token 1', 'token 2', 'alert', 'notice 1', 'notice 2'])
  })

  it('goes round among the shares that wait with one number', async () => {
    const { inside, come, leave, settled } = room(1)
    for (const name of ['a1', 'a2', 'a3', 'a4']) void come(name, 2, undefined, 'a')
    void come('b1', 2, undefined, 'b')
    void come('b2', 2, undefined, 'b')
    await settled()
    for (const name of ['a1', 'b1', 'a2', 'b2', 'a3']) await leave(name)
    expect(inside).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'a4'])
  })

  it('gives no place to who was called off while it waited, and keeps who is in', async () => {
    const { inside, come, leave, settled } = room(1)
    const off = new AbortController()
    void come('a', 1, off.signal)
    const waiting = expect(come('b', 0, off.signal)).rejects.toThrow('called off')
    void come('c', 1)
    await settled()
    off.abort(new Error('called off'))
    await waiting
    expect(inside).toEqual(['a'])
    await leave('a')
    expect(inside).toEqual(['a', 'c'])
    await expect(come('d', 0, off.signal)).rejects.toThrow('called off')
    await leave('c')
    void come('e', 1)
    await settled()
    expect(inside).toEqual(['a', 'c', 'e'])
  })

  it('gives a place back also when what was waited for fails', async () => {
    const { acquire } = semaphore(1)
    await acquire({ priority: 1, share: '' }, Promise.reject(new Error('the database is away')))
    await acquire({ priority: 1, share: '' }, Promise.resolve())
  })
})
