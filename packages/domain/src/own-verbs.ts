import type { Ground } from './ground.ts'
import { peopleOn } from './people/people.ts'

/** The directory, and the kinds that have verbs of their own, in their users' words. */
export const ownVerbsOn = (ground: Ground) => ({
  ...peopleOn(ground),
})

export type OwnVerbs = ReturnType<typeof ownVerbsOn>
