import { createRequire } from 'node:module'
import { allowTables, type Ground } from '../ground.ts'
import { plain } from '../lapse.config.ts'
import { withPeer, withWorker } from '../processes.ts'
import { peers } from './index.ts'
import { versionOf } from './load.ts'
import type { Issuer } from './peer.ts'

/** Lapse or one of its peers: they are measured alike. */
export interface Side {
  readonly name: string
  /** As in the tables. */
  readonly title: string
  /** Of a burst, that is measured. */
  readonly share: number
  withIssuer<T>(ground: Ground, during: (issuer: Issuer) => Promise<T>): Promise<T>
  withWorker<T>(ground: Ground, during: () => Promise<T>): Promise<T>
}

const kind = plain.name

const lapse: Side = {
  name: 'lapse',
  title: 'Lapse',
  share: 1,
  withIssuer: ({ lapse }, during) =>
    during({
      one: (expiresAt) => lapse.issue(kind, { expiresAt }),
      many: (at) => lapse.issueAll(at.map((expiresAt) => ({ kind, expiresAt }))),
      close: async () => {},
    }),
  withWorker,
}

const { version } = createRequire(import.meta.url)('bullmq/package.json') as { version: string }

const titles: Record<string, string> = { bullmq: `BullMQ ${version}, a job each`, sweep: 'SQL, once a second' }

const sideOf = (name: string): Side => {
  const peer = peers[name]
  if (!peer) throw new Error(`There is no peer ${name}.`)
  return {
    name,
    title: titles[name] ?? `${name} ${versionOf(name)}`,
    share: peer.share ?? 1,
    withIssuer: async (ground, during) => {
      await allowTables(ground)
      const issuer = await peer.issuer(ground)
      try {
        return await during(issuer)
      } finally {
        await issuer.close()
      }
    },
    withWorker: (ground, during) => withPeer(ground, name, during),
  }
}

export const sideNames = ['lapse', ...Object.keys(peers)]

export const sidesOf = (names: readonly string[] = sideNames): Side[] =>
  names.map((name) => (name === 'lapse' ? lapse : sideOf(name)))
