import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * A caller that holds a connection and waits for a second one of the same pool can use it up: ten such callers wait for each
 * other until they time out. All tests run with LAPSE_ASSERT_ONE_CONNECTION, and then asking for a second one is an error at
 * once, in every process that they start. Following each transaction through its callbacks has its price, so nothing else
 * sets it.
 */
export const oneConnection = () => {
  const holding =
    process.env.LAPSE_ASSERT_ONE_CONNECTION === '1' ? new AsyncLocalStorage<{ open: boolean }>() : undefined
  return {
    /** Runs a transaction's body, which holds a connection until it is settled. */
    hold: <T>(act: () => Promise<T>): Promise<T> => {
      if (!holding) return act()
      const held = { open: true }
      return holding.run(held, () =>
        act().finally(() => {
          // What was begun inside and goes on after the commit holds nothing.
          held.open = false
        }),
      )
    },
    /** @throws Error inside the body of a transaction */
    mustHoldNone: (): void => {
      if (holding?.getStore()?.open)
        throw new Error('A second connection is asked for inside a transaction: use the transaction that is open.')
    },
  }
}
