import { mkdirSync, writeFileSync } from 'node:fs'
import { aftermathMs, check } from './checker/check.ts'
import { type FaultKind, sleep } from './faults/fault.ts'
import { type Form, formOf, help } from './form.ts'
import { startLoad } from './generator.ts'
import type { History } from './history.ts'
import { Random } from './random.ts'
import { printVerdict } from './report.ts'
import type { Services } from './services.ts'
import { readFinal, settle } from './settle.ts'
import { startSampling } from './soak.ts'
import { openStage, type Stage } from './stage.ts'

/** Puts Lapse through it, and answers the exit code: 1 when a promise was broken. `folder` is where the history goes. */
export const chaos = async (services: Services, args: readonly string[], folder: string): Promise<number> => {
  const form = formOf(args)
  if (!form) {
    console.log(help)
    return 0
  }
  console.log(`chaos ${form.name}, seed ${form.seed}`)
  const stage = await openStage(services)
  try {
    const sampling = form.isSoak ? startSampling(stage) : undefined
    const load = startLoad(stage, form)
    await Promise.all([sleep(form.loadMs), suffer(stage, form)])
    const trend = sampling?.stop()
    await load.stop()
    await settle(stage)
    const { seen, client, time } = stage
    const { mailed: _, ...told } = seen
    const final = await readFinal(stage)
    const history: History = { ...told, serverErrors: client.serverErrors, final, uncertaintyMs: time.uncertaintyMs }
    const violations = check(history)
    mkdirSync(folder, { recursive: true })
    const file = `${folder}/${form.name}-${form.seed}.json`
    writeFileSync(file, JSON.stringify({ form: form.name, seed: form.seed, ...history, violations }))
    printVerdict(form, history, violations, { file, requests: client.requests, dropped: client.dropped })
    if (trend) console.log(`\n${trend}`)
    return violations.length === 0 ? 0 : 1
  } finally {
    await stage.close()
  }
}

/** How many that nobody may notice come first, where they need not wait for what came before. */
const fewQuiet = 4

/** One that nobody may notice has to wait for all others that came before it; where there are few, they come first. */
const inOrder = (faults: readonly FaultKind[]): readonly FaultKind[] => {
  const quiet = faults.filter(({ isQuiet }) => isQuiet)
  return quiet.length > fewQuiet ? faults : [...quiet, ...faults.filter(({ isQuiet }) => !isQuiet)]
}

/** One fault after the other, in an order that the seed says, all of them or as long as there is time. */
const suffer = async (stage: Stage, { seed, faults, pauseMs, quietMs, loadMs, takesAll }: Form): Promise<void> => {
  const random = Random.of(seed, -1)
  const each = random.shuffle(faults.flatMap(([fault, times]) => Array.from({ length: times }, () => fault)))
  const start = performance.now()
  let disturbedUntil = 0
  await sleep(3_000)
  for (const fault of inOrder(each)) {
    if (!takesAll && performance.now() - start > loadMs) return
    if (fault.isQuiet) await sleep(disturbedUntil + aftermathMs - stage.time.now())
    const from = stage.time.now()
    const detail = await fault.run(stage, random, pauseMs)
    const to = stage.time.now()
    if (!fault.isQuiet) disturbedUntil = to
    stage.seen.faults.push({
      name: fault.name,
      start: from,
      end: to,
      fails: fault.fails ?? false,
      delays: fault.delays ?? false,
      // What did not come about proves nothing.
      isNoisy: (fault.isNoisy ?? false) && !String(detail).startsWith('skipped'),
    })
    const since = Math.round((performance.now() - start) / 1_000)
    console.log(
      `${String(since).padStart(5)} s  ${fault.name}, ${((to - from) / 1_000).toFixed(1)} s${typeof detail === 'string' ? `: ${detail}` : ''}`,
    )
    await sleep(random.between(0.5, 1.5) * quietMs)
  }
}
