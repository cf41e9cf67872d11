import { LapseError } from 'lapse'
import { z } from 'zod'
import type { Asked } from '../sign-in.ts'

/** The one field there is to type into. */
export const email = z.string().max(1_000).catch('')

/** What to ask again for an address that is none. @throws whatever else went wrong */
export const askAgain = (error: unknown, typed: string): Asked => {
  if (!(error instanceof LapseError && error.code === 'invalid' && error.field === 'email')) throw error
  return { error: 'Please enter an e-mail address, such as name@example.com.', email: typed }
}
