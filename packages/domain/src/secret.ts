import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  randomInt,
  timingSafeEqual,
} from 'node:crypto'
import { crc32 } from 'node:zlib'
import { LapseError } from './errors.ts'

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const base62 = (length: number): string => Array.from({ length }, () => digits[randomInt(digits.length)]).join('')

const [selectorLength, verifierLength, sumLength] = [16, 43, 6]

/** A token's halves: by the first it is found, the second proves. What is stored of the second is its hash. */
export interface Proof {
  readonly selector: string | null
  readonly verifier: Buffer
}

/**
 * `lps_<kind>_`, 16 characters selector, 43 verifier (256 bits), 6 checksum, all base62: so that those who scan for
 * secrets know it, and can tell it from what only looks like one.
 */
export const newToken = (kind: string): Proof & { readonly token: string; readonly selector: string } => {
  const selector = base62(selectorLength)
  const verifier = base62(verifierLength)
  const body = `lps_${kind}_${selector}${verifier}`
  return { token: `${body}${checksum(body)}`, selector, verifier: hash(verifier) }
}

/** What a token says; of anything else a proof that belongs to nothing, so that looking it up takes as long. */
export const readToken = (
  kind: string,
  text: string,
): Proof & { readonly selector: string; readonly genuine: boolean } => {
  const prefix = `lps_${kind}_`
  const body = text.slice(0, -sumLength)
  const given = text.slice(prefix.length)
  const genuine =
    text.startsWith(prefix) &&
    given.length === selectorLength + verifierLength + sumLength &&
    /^[0-9A-Za-z]+$/.test(given) &&
    text.endsWith(checksum(body))
  const [selector, verifier] = genuine
    ? [given.slice(0, selectorLength), given.slice(selectorLength, -sumLength)]
    : [base62(selectorLength), base62(verifierLength)]
  return { selector, verifier: hash(verifier), genuine }
}

const checksum = (text: string): string => {
  let rest = crc32(text)
  let sum = ''
  for (let i = 0; i < sumLength; i++, rest = Math.floor(rest / digits.length)) sum = digits[rest % digits.length] + sum
  return sum
}

/** No salt and no stretching: nobody guesses 256 bits. */
const hash = (text: string): Buffer => createHash('sha256').update(text).digest()

const nothing = Buffer.alloc(32)

/** In constant time; with nothing to compare with, it compares all the same and says no. */
export const isSame = (given: Buffer, stored: Buffer | null | undefined): boolean => {
  const same = timingSafeEqual(given, stored?.length === given.length ? stored : nothing)
  return same && stored !== null && stored !== undefined
}

/** Eight digits, to be typed from a mail. */
export const newCode = (): string =>
  randomInt(10 ** 8)
    .toString()
    .padStart(8, '0')

/**
 * The nonce of version 2 begins with the id of its key, so that rows can be found by it; that of version 1 is random. Whoever
 * reads version 1 reads both.
 */
const version = 2
const [nonceLength, tagLength] = [12, 16]
const keyIdLength = 3

/** How what a key has sealed begins: its version and the key's id. */
export const sealPrefixLength = 1 + keyIdLength
const gcm = { authTagLength: tagLength }

/** A key by which it can be told that something is ours, and what it is called. */
export interface Signer {
  readonly id: string
  readonly key: Buffer
}

/** What needs a key that is not in the database: sealing what must be mailed, hashing what could be guessed, signing. */
export class Secrets {
  readonly #keys: readonly {
    readonly seal: Buffer
    readonly prefix: Buffer
    readonly code: Buffer
    readonly sign: Signer
  }[]

  /** The first key is used; all are tried on what there is already, so that they can be changed one after the other. */
  constructor(keys: readonly string[]) {
    const derived = (key: string, purpose: string) => Buffer.from(hkdfSync('sha256', key, '', `lapse ${purpose}`, 32))
    this.#keys = keys.map((key) => ({
      seal: derived(key, 'seal'),
      prefix: Buffer.concat([Buffer.from([version]), derived(key, 'seal id').subarray(0, keyIdLength)]),
      code: derived(key, 'code'),
      sign: { key: derived(key, 'sign'), id: derived(key, 'sign id').toString('base64url').slice(0, 8) },
    }))
    const prefixes = new Set(this.#keys.map(({ prefix }) => prefix.toString('hex')))
    if (prefixes.size < keys.length)
      throw new Error('LAPSE_SECRET has two keys that cannot be told apart. Make another: openssl rand -base64 32.')
  }

  /** How what each has sealed begins, and its signer's id, in their order. */
  get keys(): readonly { readonly prefix: Buffer; readonly signerId: string }[] {
    return this.#keys.map(({ prefix, sign }) => ({ prefix, signerId: sign.id }))
  }

  get hasKey(): boolean {
    return this.#keys.length > 0
  }

  /** @throws LapseError `not_configured` */
  mustHaveKey(): void {
    this.#current
  }

  /** AES-256-GCM, bound to the resource it belongs to. @throws LapseError `not_configured` */
  seal(resourceId: string, secrets: Readonly<Record<string, string>>): Buffer {
    const { seal, prefix } = this.#current
    const start = Buffer.concat([prefix, randomBytes(nonceLength - keyIdLength)])
    const cipher = createCipheriv('aes-256-gcm', seal, start.subarray(1), gcm).setAAD(Buffer.from(resourceId))
    const sealed = Buffer.concat([cipher.update(JSON.stringify(secrets)), cipher.final()])
    return Buffer.concat([start, cipher.getAuthTag(), sealed])
  }

  /** @throws LapseError `not_configured` when no key opens it */
  open(resourceId: string, sealed: Uint8Array): Record<string, string> {
    const opened = this.tryOpen(resourceId, sealed)
    if (opened) return opened.secrets
    throw new LapseError('not_configured', {
      detail: 'What was sealed cannot be opened: LAPSE_SECRET lacks the key that sealed it.',
    })
  }

  /** What it says, and the place of the key that has sealed it; nothing when none of ours has. */
  tryOpen(resourceId: string, sealed: Uint8Array): { secrets: Record<string, string>; place: number } | undefined {
    const bytes = Buffer.from(sealed)
    const nonce = bytes.subarray(1, 1 + nonceLength)
    const tag = bytes.subarray(1 + nonceLength, 1 + nonceLength + tagLength)
    for (const [place, { seal }] of this.#keys.entries()) {
      try {
        const decipher = createDecipheriv('aes-256-gcm', seal, nonce, gcm)
          .setAAD(Buffer.from(resourceId))
          .setAuthTag(tag)
        const text = Buffer.concat([decipher.update(bytes.subarray(1 + nonceLength + tagLength)), decipher.final()])
        return { secrets: JSON.parse(text.toString()), place }
      } catch {
        // Another key has sealed it: the next one is tried.
      }
    }
    return undefined
  }

  /** Keyed, for eight digits are guessed in a moment by whoever has the table. @throws LapseError `not_configured` */
  codeVerifier(resourceId: string, code: string): Buffer {
    return codeHash(this.#current.code, resourceId, code)
  }

  isCode(resourceId: string, code: string, stored: Uint8Array | null | undefined): boolean {
    return this.#keys
      .map((key) => isSame(codeHash(key.code, resourceId, code), stored ? Buffer.from(stored) : stored))
      .includes(true)
  }

  /** What signs now. @throws LapseError `not_configured` */
  get signer(): Signer {
    return this.#current.sign
  }

  /** What has signed under this id. */
  signerOf(id: string | undefined): Signer | undefined {
    return this.#keys.find(({ sign }) => sign.id === id)?.sign
  }

  get #current() {
    const [key] = this.#keys
    if (!key)
      throw new LapseError('not_configured', {
        detail:
          'Set LAPSE_SECRET (32 characters or more, the same for API and workers) to mail tokens and codes, to share links, and to sign JWTs.',
      })
    return key
  }
}

const codeHash = (key: Buffer, resourceId: string, code: string): Buffer =>
  createHmac('sha256', key).update(`${resourceId}\n${code}`).digest()
