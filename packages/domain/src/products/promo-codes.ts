import type { TimerState } from '../change.ts'
import { Organizations } from '../directory/organizations.ts'
import { LapseError } from '../errors.ts'
import type { Ground } from '../ground.ts'
import type { By, End, IssueInput } from '../input.ts'
import type { Resource } from '../kind.ts'
import type { PromoCodePayload } from '../kinds/promo-code.ts'
import type { Denial } from '../resources.ts'
import type { ReferenceSelector } from '../store/read.ts'
import { storableText } from '../text.ts'
import { chosenCode, foldCode, newPromoCode } from './code.ts'
import { countUses, listRedemptions, type Redemption } from './redemption-store.ts'

export type PromoCode = Resource<PromoCodePayload>

export interface PromoCodeInput extends End, Pick<IssueInput, 'organization' | 'startsAt' | 'startsInMs' | 'maxUses'> {
  /** Of one's own choice; made up without. */
  readonly code?: string | undefined
  readonly description?: string | undefined
  readonly benefit?: Record<string, unknown> | undefined
  /** How often each holder may redeem it: once unless said otherwise; `null`: as often as anybody. */
  readonly maxUsesEach?: number | null | undefined
}

/** A code as somebody typed it. Codes of an organization are looked for in it, and others outside of any. */
export interface TypedCode {
  readonly code: string
  /** Its id, or the host application's own. */
  readonly organization?: string | undefined
}

/** `used_up_by_holder`: it is still good for others. */
export type PromoDenial = Exclude<Denial, 'consumed'> | 'used_up' | 'used_up_by_holder'

export type Redeemable =
  | { readonly redeemable: true; readonly promoCode: PromoCode }
  | { readonly redeemable: false; readonly reason: PromoDenial; readonly promoCode?: PromoCode }

export type Redeemed =
  | { readonly redeemed: true; readonly promoCode: PromoCode }
  | { readonly redeemed: false; readonly reason: PromoDenial; readonly promoCode?: PromoCode }

export interface RedemptionPage {
  /** The last holder of the page before. */
  readonly after?: string | undefined
  /** 50 unless said otherwise. */
  readonly limit?: number | undefined
}

/** Promo codes in their own words. What a person takes for the same code is the same: it is the resource's reference. */
export class PromoCodes {
  readonly #ground: Ground
  readonly #organizations: Organizations

  constructor(ground: Ground) {
    this.#ground = ground
    this.#organizations = new Organizations(ground)
  }

  /**
   * @throws LapseError `invalid`, `code_taken`, `unknown_organization`, `organization_not_active`, `lifetime_too_short`,
   *   `lifetime_too_long`
   */
  async create(input: PromoCodeInput, by: By = {}): Promise<{ promoCode: PromoCode; timer: TimerState }> {
    const { description, benefit, maxUses, maxUsesEach = 1, startsAt, startsInMs } = input
    const organization = await this.#organizationId(input.organization)
    const code = input.code === undefined ? newPromoCode() : chosenCode(input.code)
    const payload: PromoCodePayload = {
      code,
      ...(description !== undefined && { description }),
      ...(benefit !== undefined && { benefit }),
    }
    const draft: IssueInput = {
      ...{ kind: 'promo-code', organization, payload, maxUses, maxUsesEach: maxUsesEach ?? undefined },
      ...{ reference: referenceOf(code, organization), startsAt, startsInMs, ...this.#endOf(input) },
    }
    const { value, timer } = await this.#ground.locking(organization).commit(async (work) => {
      const change = await work.resources.issue(draft, by).catch((error) => {
        if (!(error instanceof LapseError && error.code === 'reference_taken')) throw error
        throw new LapseError('code_taken', { field: 'code', detail: 'Choose another one, or withdraw that one first.' })
      })
      work.changes.push(change)
      return change.resource
    })
    return { promoCode: value as PromoCode, timer }
  }

  /** May it be redeemed now, and by this holder? Counts nothing. @throws LapseError `unknown_organization` */
  async check({ holder, ...typed }: TypedCode & { readonly holder?: string | undefined }): Promise<Redeemable> {
    const which = await this.#find(typed)
    if (which === undefined) return { redeemable: false, reason: 'unknown' }
    const checked = await this.#ground.resources.check('promo-code', which)
    if (!checked.allowed) return { redeemable: false, ...denialOf(checked) }
    const promoCode = checked.resource as PromoCode
    const { id, maxUsesEach } = promoCode
    const name = storableText('holder', holder)
    const isUsedUp =
      name !== null && maxUsesEach !== null && (await countUses(this.#ground.checks, id, name)) >= maxUsesEach
    return isUsedUp ? { redeemable: false, reason: 'used_up_by_holder', promoCode } : { redeemable: true, promoCode }
  }

  /**
   * Counts one use of this holder's, if there is one left for them and in all. Of many at once no more get it.
   *
   * @throws LapseError `invalid`, `unknown_organization`
   */
  async redeem({ holder, ...typed }: TypedCode & { readonly holder: string }, by: By = {}): Promise<Redeemed> {
    const which = await this.#find(typed)
    if (which === undefined) return { redeemed: false, reason: 'unknown' }
    const { value } = await this.#ground.locking(which.reference).commit(async (work): Promise<Redeemed> => {
      const used = await work.resources.consume('promo-code', which, { ...by, holder })
      if (!used.consumed) return { redeemed: false, ...denialOf(used) }
      work.changes.push(used)
      return { redeemed: true, promoCode: used.resource as PromoCode }
    })
    return value
  }

  /** By what a code of this organization, or of none, can be found in lists; of what is no code, by what none has. */
  referenceOf({
    code,
    organizationId,
  }: {
    readonly code: string
    readonly organizationId?: string | undefined
  }): string {
    return referenceOf(code, organizationId)
  }

  /** Gives it a later or an earlier end. @throws LapseError as `lapse.renew` */
  async renew(id: string, end: End, by: By = {}): Promise<{ promoCode: PromoCode; timer: TimerState }> {
    const { value, timer } = await this.#ground.locking(id).commit(async (work) => {
      const change = await work.resources.renew('promo-code', id, end, by)
      work.changes.push(change)
      return change.resource
    })
    return { promoCode: value as PromoCode, timer }
  }

  /** Who has redeemed it, by holder. They are kept as long as the code is. */
  redemptions(id: string, { after, limit = 50 }: RedemptionPage = {}): Promise<Redemption[]> {
    return listRedemptions(this.#ground.sql, id, { after, limit })
  }

  /** The default life begins when the code does. */
  #endOf({ expiresAt, expiresInMs, startsAt, startsInMs }: PromoCodeInput): End {
    if (expiresAt !== undefined || expiresInMs !== undefined) return { expiresAt, expiresInMs }
    const { defaultLife = 0 } = this.#ground.registry.get('promo-code')
    if (startsAt === undefined) return { expiresInMs: (startsInMs ?? 0) + defaultLife }
    return { expiresAt: new Date(startsAt.getTime() + defaultLife) }
  }

  async #find({ code, organization }: TypedCode): Promise<ReferenceSelector | undefined> {
    const id = await this.#organizationId(organization)
    return foldCode(code) === undefined ? undefined : { reference: referenceOf(code, id), organization: id }
  }

  async #organizationId(idOrReference: string | undefined): Promise<string | undefined> {
    if (idOrReference === undefined) return undefined
    const organization = await this.#organizations.get(idOrReference).catch((error) => {
      if (!(error instanceof LapseError && error.code === 'not_found')) throw error
      throw new LapseError('unknown_organization', { field: 'organization', detail: 'Create it first.' })
    })
    return organization.id
  }
}

/** At most one live code of an organization, or of none, has it. */
const referenceOf = (code: string, organizationId: string | undefined): string => {
  const folded = foldCode(code) ?? ''
  return organizationId === undefined ? folded : `${organizationId}:${folded}`
}

const denialOf = ({ reason, resource }: { reason: Denial | 'used_up'; resource?: Resource }) =>
  ({
    reason: reason === 'consumed' ? 'used_up' : reason === 'used_up' ? 'used_up_by_holder' : reason,
    ...(resource && { promoCode: resource as PromoCode }),
  }) as const
