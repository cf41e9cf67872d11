import { peers } from './index.ts'
import type { Place } from './peer.ts'

/** One of the peers at work, in a process of its own, until it is told to stop or whoever started it is gone. */
const { peer, ...place } = JSON.parse(process.argv[2] ?? '') as Place & { peer: string }

const stop = await peers[peer]?.work(place)
process.once('SIGTERM', async () => {
  // Some take their time to see that there is nothing left to do.
  setTimeout(() => process.exit(0), 5_000)
  await stop?.()
  process.exit(0)
})
process.once('disconnect', () => process.exit(1))
process.send?.('ready')
