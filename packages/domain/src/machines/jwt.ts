import { compactVerify, SignJWT } from 'jose'
import { z } from 'zod'
import type { Secrets } from '../secret.ts'

const alg = 'HS256'

/** What others may read in it. Whether it is good is for the database to say. */
interface Claims {
  /** The resource's id. */
  readonly id: string
  readonly scopes: readonly string[]
  readonly issuedAt: Date
  readonly expiresAt: Date
}

/** @throws LapseError `not_configured` */
export const signJwt = async (secrets: Secrets, { id, scopes, issuedAt, expiresAt }: Claims): Promise<string> => {
  const { key, id: kid } = secrets.signer
  const claims = { iss: 'lapse', sub: `token:${id}`, jti: id, scope: scopes.join(' ') }
  // To the second, as they have it, and never before the end in the database.
  const span = { iat: Math.floor(issuedAt.getTime() / 1000), exp: Math.ceil(expiresAt.getTime() / 1000) }
  return new SignJWT({ ...claims, ...span }).setProtectedHeader({ alg, typ: 'JWT', kid }).sign(key)
}

const ours = z.object({ iss: z.literal('lapse'), jti: z.uuid(), exp: z.int() })

/**
 * Which resource it names, when one of our keys has signed it. No clock of this process is asked: jose's own check of `exp`
 * would.
 */
export const readJwt = async (secrets: Secrets, text: string): Promise<{ id: string; expMs: number } | undefined> => {
  try {
    const keyOf = ({ kid }: { kid?: string }) => {
      const signer = secrets.signerOf(kid)
      if (!signer) throw new Error('No key of ours')
      return signer.key
    }
    const { payload } = await compactVerify(text, keyOf, { algorithms: [alg] })
    const { jti, exp } = ours.parse(JSON.parse(Buffer.from(payload).toString()))
    return { id: jti, expMs: exp * 1000 }
  } catch {
    // Whatever is wrong with it, it is not one of ours.
    return undefined
  }
}
