import type { App } from '../app.ts'
import type { Stage } from '../stage.ts'
import { type FaultKind, sleep } from './fault.ts'

const appsOf = ({ apis, workers }: Stage): App[] => [...apis, ...workers]

export const linesCut: FaultKind = {
  name: 'all lines cut',
  fails: true,
  delays: true,
  run: async (stage) => {
    stage.lost()
    for (const { postgres, redis } of appsOf(stage)) {
      postgres.cut()
      redis.cut()
    }
    await sleep(300)
    stage.lost()
  },
}

/** It was done, and whoever wanted it does not know. */
export const cutAfterCommit: FaultKind = {
  name: 'lines cut right after COMMIT',
  fails: true,
  delays: true,
  run: async (stage, random, pauseMs) => {
    let left = 10
    // It goes over the line as text when its connection is new.
    stage.lost()
    for (const { postgres } of appsOf(stage)) postgres.cut()
    for (const { postgres } of appsOf(stage))
      postgres.trap = (piece) => {
        if (left === 0 || !piece.includes('COMMIT') || random.chance(0.3)) return 'pass'
        left--
        stage.lost()
        return 'pass and cut'
      }
    const deadline = performance.now() + Math.max(10_000, pauseMs)
    while (left > 0 && performance.now() < deadline) await sleep(50)
    for (const { postgres } of appsOf(stage)) postgres.trap = undefined
    stage.lost()
    return `${10 - left} times`
  },
}

/** The answer to any statement may be lost so, with a transaction or without. */
export const answersLost: FaultKind = {
  name: 'answers of PostgreSQL lost',
  fails: true,
  delays: true,
  run: async (stage, random, pauseMs) => {
    for (const { postgres } of appsOf(stage))
      postgres.trap = () => {
        if (!random.chance(0.03)) return 'pass'
        stage.lost()
        return 'pass and cut'
      }
    await sleep(Math.max(1_000, pauseMs / 3))
    for (const { postgres } of appsOf(stage)) postgres.trap = undefined
    stage.lost()
  },
}

/** Nothing comes back any more, and nobody says that the line is dead. */
export const linesFrozen: FaultKind = {
  name: 'lines half open',
  fails: true,
  delays: true,
  run: async (stage, random, pauseMs) => {
    stage.lost()
    const frozen = appsOf(stage).filter(() => random.chance(0.6))
    for (const { postgres, redis } of frozen) {
      postgres.freeze()
      redis.freeze()
    }
    await sleep(pauseMs)
    for (const { postgres, redis } of frozen) {
      postgres.cut()
      redis.cut()
    }
    stage.lost()
  },
}

export const linesSlow: FaultKind = {
  name: 'slow lines',
  fails: true,
  delays: true,
  run: async (stage, random, pauseMs) => {
    for (const { postgres, redis } of appsOf(stage)) {
      postgres.delayMs = random.whole(5, 80)
      redis.delayMs = random.whole(5, 200)
    }
    await sleep(pauseMs)
    for (const { postgres, redis } of appsOf(stage)) postgres.delayMs = redis.delayMs = 0
  },
}
