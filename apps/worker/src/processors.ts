import { type Channel, type Dispatcher, done, type Engine, type Lapse, type Processor, type QueueName } from 'lapse'
import type { Net } from './net.ts'

/** Every job there is, and what is done about it. They translate; the domain decides. */
export const createProcessors = (
  lapse: Lapse,
  engine: Engine,
  dispatcher: Dispatcher,
  net: Net,
): { [Q in QueueName]: Processor<Q> } => {
  // Which delivery woke it is of no account: the dispatcher takes what deserves it most.
  const wake = (channel: Channel) => async () => {
    dispatcher.wake(channel)
    return done
  }
  return {
    timers: {
      remind: (wakeUp) => engine.wake('remind', wakeUp),
      expire: (wakeUp) => engine.wake('expire', wakeUp),
      'end-grace': (wakeUp) => engine.wake('end-grace', wakeUp),
    },
    email: { deliver: wake('email') },
    webhook: { deliver: wake('webhook') },
    call: { deliver: wake('call') },
    handler: { deliver: wake('handler') },
    upkeep: {
      sweep: async () => {
        await net.sweep()
        return done
      },
      'look-ahead': async () => {
        await engine.lookAhead()
        await engine.moveAbandoned()
        return done
      },
      purge: async () => {
        await lapse.cleanup()
        return done
      },
    },
  }
}
