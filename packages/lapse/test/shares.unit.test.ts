import { describe, expect, it } from 'vitest'
import { QueueFullError, sharedPlaces } from '../src/outbound/shares.ts'

const limits = { total: 6, reserved: 2, perShare: 3, sure: 1, waiting: 4 }
const never = new AbortController().signal

/** Who has come in, in their order, and how each of them leaves. */
const entering = (enter: ReturnType<typeof sharedPlaces>) => {
  const inside: string[] = []
  const leaves = new Map<string, () => void>()
  const come = (name: string, share: string, signal = never) =>
    enter(share, signal).then((leave) => {
      inside.push(name)
      leaves.set(name, leave)
    })
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  return { inside, come, settled, leave: (name: string) => leaves.get(name)?.() }
}

describe('shared places', () => {
  it('one share never has more than its own limit', async () => {
    const { inside, come, settled, leave } = entering(sharedPlaces(limits))
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) void come(name, 'a')
    await settled()
    expect(inside).toEqual(['a1', 'a2', 'a3'])
    leave('a2')
    leave('a2')
    await settled()
    expect(inside).toEqual(['a1', 'a2', 'a3', 'a4'])
  })

  it('the reserve is for shares that have less than what is sure to them', async () => {
    const { inside, come, settled } = entering(sharedPlaces(limits))
    for (const name of ['a1', 'a2', 'a3']) void come(name, 'a')
    for (const name of ['b1', 'b2']) void come(name, 'b')
    void come('c1', 'c')
    void come('d1', 'd')
    await settled()
    // b has the last of the four that are not reserved, and so no second one.
    expect(inside).toEqual(['a1', 'a2', 'a3', 'b1', 'c1', 'd1'])
  })

  it('free places go to the shares in turn, and within one to who came first', async () => {
    const { inside, come, settled, leave } = entering(sharedPlaces({ ...limits, total: 1, reserved: 0 }))
    for (const name of ['a1', 'a2', 'a3']) void come(name, 'a')
    for (const name of ['b1', 'b2']) void come(name, 'b')
    await settled()
    for (const name of ['a1', 'a2', 'b1', 'a3']) {
      leave(name)
      await settled()
    }
    expect(inside).toEqual(['a1', 'a2', 'b1', 'a3', 'b2'])
  })

  it('who is called off leaves the queue, and takes no place any more', async () => {
    const { inside, come, settled, leave } = entering(sharedPlaces({ ...limits, total: 1, reserved: 0 }))
    const off = new AbortController()
    void come('a1', 'a')
    const waiting = come('a2', 'a', off.signal)
    const refused = expect(waiting).rejects.toThrow('called off')
    void come('a3', 'a')
    off.abort(new Error('called off'))
    await refused
    leave('a1')
    await settled()
    expect(inside).toEqual(['a1', 'a3'])
    await expect(come('a4', 'a', off.signal)).rejects.toThrow('called off')
  })

  it('no more than the limit wait in one share, and that is no matter to another', async () => {
    const { come } = entering(sharedPlaces({ ...limits, waiting: 1 }))
    for (const name of ['a1', 'a2', 'a3', 'a4']) void come(name, 'a')
    await expect(come('a5', 'a')).rejects.toThrow(QueueFullError)
    await come('b1', 'b')
  })
})
