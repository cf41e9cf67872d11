export { isCluster, type RedisAddress, readRedisUrl } from './address.ts'
export { Alarm, type AlarmOptions } from './alarm.ts'
export { enqueueDeliveries } from './deliveries.ts'
export { describeRedis, RedisHealth, type RedisState } from './health.ts'
export {
  deliveryId,
  type JobName,
  type Jobs,
  type QueueName,
  queueNames,
  timerId,
  type WakeUp,
} from './jobs.ts'
export { openQueues, type QueueOptions, type Queues } from './queues.ts'
export { inspectRedis, type RedisReport } from './redis.ts'
export { type QueueErrorPlace, queueErrorPlaces } from './report.ts'
export { RetryDelay } from './retry-delay.ts'
export { done, drop, type Outcome, type Processor, type Runner, retryIn, startRunner } from './runner.ts'
export { mostShards, type Place, shardOf, slotOf, timerPlaces } from './shards.ts'
export { type StandingTimer, type TimerOptions, Timers } from './timers.ts'
export {
  moveWatermark,
  readWatermark,
  removeWatermark,
  resetWatermark,
  scheduleUpkeep,
  type UpkeepIntervals,
  type UpkeepTask,
  type Watermark,
} from './upkeep.ts'
export { type WaitingTimer, waitingTimers } from './waiting.ts'
export { keepWitness, onlyOne, readWitness, type Witness } from './witness.ts'
