import type { Timer } from '@lapse/domain'

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
  webhook: { deliver: Deliver }
  call: { deliver: Deliver }
  handler: { deliver: Deliver }
  upkeep: Record<'sweep' | 'look-ahead' | 'purge', None>
}

export type QueueName = keyof Jobs
export type JobName<Q extends QueueName> = keyof Jobs[Q] & string

/** Each channel has its own, so that its rate limit and its outages hold up nobody else. */
export const queueNames = ['timers', 'email', 'webhook', 'call', 'handler', 'upkeep'] as const satisfies QueueName[]

/** Whether it is a resource's or a delivery's id. */
export const isUuid = (id: unknown): id is string => typeof id === 'string' && uuid.test(id)

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const isWakeUp = (data: Partial<WakeUp>): boolean =>
  isUuid(data.id) &&
  typeof data.kind === 'string' &&
  Number.isInteger(data.version) &&
  (data.offset === undefined || Number.isInteger(data.offset))

const isDeliver = (data: Partial<Deliver>): boolean => isUuid(data.delivery)

const readable: Record<QueueName, (data: object) => boolean> = {
  timers: isWakeUp,
  email: isDeliver,
  webhook: isDeliver,
  call: isDeliver,
  handler: isDeliver,
  upkeep: () => true,
}

/** Anybody who can write to Redis can add a job: one that is not what it should be must not reach its neighbours. */
export const isReadable = (queue: QueueName, data: unknown): boolean =>
  typeof data === 'object' && data !== null && readable[queue](data)

/** The same timer has the same id wherever it is armed: BullMQ ignores an id that exists, so arming twice is harmless. */
export const timerId = ({ id, step, offset, version }: Pick<Timer, 'id' | 'step' | 'offset' | 'version'>): string =>
  `${id}-${step}${offset === undefined ? '' : `-${offset}`}-v${version}`

const timerIdPattern = /^(?<id>[0-9a-f-]{36})-(?<step>remind|expire|end-grace)(?:-(?<offset>\d+))?-v(?<version>\d+)$/

/** What such an id says; `undefined` for any other. */
export const readTimerId = (job: string): Pick<Timer, 'id' | 'step' | 'offset' | 'version'> | undefined => {
  const { id, step, offset, version } = timerIdPattern.exec(job)?.groups ?? {}
  if (!isUuid(id)) return undefined
  return {
    ...{ id, step: step as Timer['step'], version: Number(version) },
    ...(offset !== undefined && { offset: Number(offset) }),
  }
}

/** A delivery that a person has asked for again is another job. */
export const deliveryId = (delivery: { id: string; round?: number }): string => `${delivery.id}-r${delivery.round ?? 0}`
