import type { Lapse } from 'lapse'
import type { Limits } from '../../http/limits.ts'
import type { Redeem } from '../../http/redemption.ts'
import type { SendSignInLink } from '../../http/sign-in-link.ts'
import type { Look } from '../link.ts'

/** What the pages' routes work with. */
export interface PagesContext {
  readonly lapse: Lapse
  readonly limits: Limits
  readonly redeem: Redeem
  readonly look: Look
  readonly sendSignInLink: SendSignInLink
}
