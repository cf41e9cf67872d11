import { agenda } from './agenda.ts'
import { bullmq } from './bullmq.ts'
import { graphileWorker } from './graphile-worker.ts'
import type { Peer } from './peer.ts'
import { pgBoss } from './pg-boss.ts'
import { sweep } from './sweep.ts'

export const peers: Record<string, Peer> = {
  bullmq,
  'pg-boss': pgBoss,
  'graphile-worker': graphileWorker,
  agenda,
  sweep,
}
