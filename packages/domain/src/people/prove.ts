import type { Ground } from '../ground.ts'
import { isSame, readToken } from '../secret.ts'
import { type ProvableRow, readProvable } from '../store/read.ts'
import { normalizeTyped } from '../typed.ts'

export interface Proven {
  /** Only when the token is the one that was issued; whether it is still good is another question. */
  readonly row: ProvableRow | undefined
  /** What it was tried on: a guess at what there is names it too. */
  readonly about: string | undefined
  readonly reason: 'malformed' | 'unknown' | 'wrong-secret' | 'proven'
}

/** Whose token this is, however it was typed or pasted. The same work for one that belongs to nothing. */
export const prove = async (ground: Ground, kind: string, token: string): Promise<Proven> => {
  const { selector, verifier, genuine } = readToken(kind, normalizeTyped(token))
  const row = await readProvable(ground.checks, kind, { selector })
  const same = isSame(verifier, row?.verifier && Buffer.from(row.verifier))
  if (row && same) return { row, about: row.id, reason: 'proven' }
  return { row: undefined, about: row?.id, reason: !genuine ? 'malformed' : row ? 'wrong-secret' : 'unknown' }
}
