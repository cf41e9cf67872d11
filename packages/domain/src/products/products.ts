import type { Ground } from '../ground.ts'
import { PromoCodes } from './promo-codes.ts'
import { ShareLinks } from './share-links.ts'

/** The kinds that an application gives to its users, each with verbs of its own. */
export const productsOn = (ground: Ground) => ({
  promoCodes: new PromoCodes(ground),
  shareLinks: new ShareLinks(ground),
})
