import { type Deliverer, done, type Engine, type Lapse, type Processor, type QueueName } from 'lapse'
import type { Net } from './net.ts'

/** Every job there is, and what is done about it. They translate; the domain decides. */
export const createProcessors = (
  lapse: Lapse,
  engine: Engine,
  deliver: Deliverer,
  net: Net,
): { [Q in QueueName]: Processor<Q> } => ({
  timers: {
    remind: (wakeUp) => engine.wake('remind', wakeUp),
    expire: (wakeUp) => engine.wake('expire', wakeUp),
    'end-grace': (wakeUp) => engine.wake('end-grace', wakeUp),
  },
  email: { deliver: ({ delivery }) => deliver('email', delivery) },
  webhook: { deliver: ({ delivery }) => deliver('webhook', delivery) },
  call: { deliver: ({ delivery }) => deliver('call', delivery) },
  handler: { deliver: ({ delivery }) => deliver('handler', delivery) },
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
})
