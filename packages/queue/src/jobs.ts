import type { Channel, Timer } from '@lapse/domain'

/** Look at this resource: its step should be due. Never anything secret: whoever can read Redis can read this. */
export interface WakeUp {
  readonly id: string
  readonly kind: string
  readonly version: number
  /** Which reminder: seconds before the end. */
  readonly offset?: number
}

/** Deliver this side effect. */
export interface Deliver {
  readonly delivery: string
}

type None = Record<string, never>

/** Every job there is: queue, name, data. A queue without a processor, or a name it does not know, does not compile. */
export interface Jobs {
  timers: Record<Timer['step'], WakeUp>
  email: { deliver: Deliver }
  handler: { deliver: Deliver }
  upkeep: Record<'sweep' | 'look-ahead' | 'purge', None>
}

export type QueueName = keyof Jobs
export type JobName<Q extends QueueName> = keyof Jobs[Q] & string

export const queueNames = ['timers', 'email', 'handler', 'upkeep'] as const satisfies QueueName[]

/** Channels that have a queue. Each has its own, so that its rate limit and its outages hold up nobody else. */
export type DeliveryChannel = Extract<Channel, QueueName>

/** The same timer has the same id wherever it is armed: BullMQ ignores an id that exists, so arming twice is harmless. */
export const timerId = ({ id, step, offset, version }: Pick<Timer, 'id' | 'step' | 'offset' | 'version'>): string =>
  `${id}-${step}${offset === undefined ? '' : `-${offset}`}-v${version}`

/** A delivery that a person has asked for again is another job. */
export const deliveryId = (delivery: { id: string; round?: number }): string => `${delivery.id}-r${delivery.round ?? 0}`
