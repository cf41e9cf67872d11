import { setTimeout as sleep } from 'node:timers/promises'

/** Does the work, and takes at least so long, also when it fails: how long it took tells nothing about it. */
export const notBefore = async <T>(ms: number, work: () => Promise<T>): Promise<T> => {
  const floor = sleep(ms)
  try {
    return await work()
  } finally {
    await floor
  }
}
