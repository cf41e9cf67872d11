export {
  type Backoff,
  type By,
  type Delivery,
  type DeliveryFilter,
  type DeliveryStatus,
  type Duration,
  defineKind,
  type ErrorCode,
  type Event,
  type EventFilter,
  type EventType,
  type Handler,
  type HandlerCall,
  type Happening,
  type Hook,
  isUnavailable,
  type Kind,
  type KindDefinition,
  LapseError,
  type Letter,
  type LetterContext,
  type Page,
  type Payload,
  type Prisma,
  type Request,
  type Resource,
  type ResourceFilter,
  type Selector,
  type Status,
  type Template,
  type TrialBanner,
  type Trigger,
  trial,
  trialBanner,
} from '@lapse/domain'
export {
  type DeliveryChannel,
  done,
  type Processor,
  type QueueName,
  type Queues,
  type Runner,
  scheduleUpkeep,
  startRunner,
  type UpkeepIntervals,
} from '@lapse/queue'
export { BootError } from './boot.ts'
export { defineConfig, type LapseConfig, loadConfig } from './config.ts'
export type { Deliverer } from './deliver.ts'
export type { Engine } from './engine.ts'
export {
  commonVariables,
  describeEnvironment,
  EnvironmentError,
  lapseOptions,
  readEnvironment,
  type Values,
  type Variable,
  variable,
} from './environment.ts'
export { createLapse, Lapse, type LapseOptions } from './lapse.ts'
export { createMailer, type Mailer } from './mail/mailer.ts'
export { runService } from './service.ts'
export type { Changed, Checked, Consumed, IssueOptions, Lifetime, TimerState, Verbs } from './verbs.ts'
