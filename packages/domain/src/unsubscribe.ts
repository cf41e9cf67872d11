import { LapseError } from './errors.ts'
import type { Secrets } from './secret.ts'

/** So that nothing else that was sealed is taken for it. */
const purpose = 'unsubscribe'

/** What a reminder's link carries: the address, sealed. Nothing without a key. */
export const unsubscribeToken = (secrets: Secrets, address: string): string | undefined =>
  secrets.hasKey ? secrets.seal(purpose, { address }).toString('base64url') : undefined

/** @throws LapseError `token_not_valid` for what no key of ours has sealed */
export const addressOf = (secrets: Secrets, token: string): string => {
  try {
    const { address } = secrets.open(purpose, Buffer.from(token, 'base64url'))
    if (address !== undefined) return address
  } catch {
    // Whatever is wrong with it, the holder learns only that it is not valid.
  }
  throw new LapseError('token_not_valid')
}
