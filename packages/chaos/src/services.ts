import type { ChildProcess } from 'node:child_process'

/** A server of this run's own, which may be ended and started again on its port. */
export interface OwnServer {
  pid(): number
  /** Resolves when it is gone. */
  end(signal: NodeJS.Signals): Promise<void>
  /** Resolves when it answers. */
  start(): Promise<void>
}

export interface Launched extends ChildProcess {
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

/** What scripts/chaos.mjs brings along; it takes all of it away again, however the command ends. */
export interface Services {
  /** Gone with the command. */
  readonly folder: string
  readonly postgres: { readonly appUrl: string; readonly ownerUrl: string; readonly server: OwnServer }
  readonly redis: { readonly url: string; readonly home: string; readonly server: OwnServer }
  readonly launch: (program: string, args: readonly string[], options: object) => Launched
  readonly freePort: () => Promise<number>
}
