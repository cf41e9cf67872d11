import type { Random } from '../random.ts'
import type { Stage } from '../stage.ts'

export interface FaultKind {
  readonly name: string
  /** Whether requests may fail meanwhile, and shortly after it. */
  readonly fails?: boolean
  /** Whether what ends may end late meanwhile. */
  readonly delays?: boolean
  /** Whether nobody may notice it: it waits until no fault before it excuses anything any more. */
  readonly isQuiet?: boolean
  /** Whether it is somebody's doing of whom the side effects of others may notice nothing. */
  readonly isNoisy?: boolean
  /** Does it, and makes it good again; answers what there is to say of it, in words. */
  readonly run: (stage: Stage, random: Random, pauseMs: number) => Promise<unknown>
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
