import type { Prisma } from './generated/prisma/client.ts'

/** A statement came after its hook had returned, or had run out of time. */
export class HookOverError extends Error {
  override readonly name = 'HookOverError'
}

export interface HookTransaction {
  readonly tx: Prisma.TransactionClient
  /** Refuses every statement from now on, for this reason, and waits for those that run. */
  close(reason: string): Promise<void>
}

/**
 * The transaction as one hook gets it. A hook that was given up goes on running: without this, what it writes late would
 * land in the transaction that went on without it, or in the next one on its connection.
 *
 * A statement that was sent before `close` may still reach PostgreSQL after it, so `close` waits for its answer.
 */
export const openHookTransaction = (transaction: Prisma.TransactionClient): HookTransaction => {
  let refusal: string | undefined
  const running = new Set<Promise<unknown>>()

  /** Prisma sends a statement when its promise is first awaited, not when it is made. */
  const send = (statement: PromiseLike<unknown>): Promise<unknown> => {
    if (refusal !== undefined) return Promise.reject(new HookOverError(refusal))
    const sent = Promise.resolve(statement)
    running.add(sent)
    const forget = () => void running.delete(sent)
    sent.then(forget, forget)
    return sent
  }
  const guarded = <T extends object>(target: T): T =>
    new Proxy(target, {
      get: (_, key) => {
        if (isSettler(key) && 'then' in target)
          return (...handlers: unknown[]) => Reflect.apply(Promise.prototype[key], send(target as never), handlers)
        const value = Reflect.get(target, key) as unknown
        if (typeof value !== 'function') return guardedAnswer(value)
        // Refused like a statement that fails: when it is awaited.
        return (...args: unknown[]) =>
          guardedAnswer(refusal === undefined ? Reflect.apply(value, target, args) : unsent)
      },
    })
  const guardedAnswer = (value: unknown): unknown =>
    typeof value === 'object' && value !== null ? guarded(value) : value

  return {
    tx: guarded(transaction),
    close: async (reason) => {
      refusal = reason
      await Promise.allSettled(running)
    },
  }
}

/** Stands for a statement that is never sent: `send` refuses it. */
const unsent = new Promise<never>(() => {})

const settlers = ['then', 'catch', 'finally'] as const
const isSettler = (key: string | symbol): key is (typeof settlers)[number] =>
  (settlers as readonly (string | symbol)[]).includes(key)
