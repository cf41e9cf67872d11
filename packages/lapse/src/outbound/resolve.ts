import { Resolver } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { hostsFile, searchList } from './name-files.ts'
import { QueueFullError, type ShareLimits, sharedPlaces } from './shares.ts'

export interface ResolveOptions {
  /** Cancels the questions. */
  readonly signal: AbortSignal
  /** Who shares the lookups: an organization's id. Default: `host`, for everything of the installation itself. */
  readonly share?: string | undefined
}

/** All addresses that a name has at this moment; none when it has none. */
export type Resolve = (name: string, options: ResolveOptions) => Promise<readonly string[]>

/** A name has no answer. The message says why and what to do. */
export class NameError extends Error {
  override readonly name: string = 'NameError'
}

/** The name has not been asked for: its organization's other lookups took all places. That says nothing of its host. */
export class LookupQueueError extends NameError {
  override readonly name = 'LookupQueueError'
}

export interface ResolverOptions {
  /** `address` or `address:port` of each name server. Default: those of the system. */
  readonly servers?: readonly string[] | undefined
  /** For the whole answer to one name, in milliseconds. Default: 5,000. */
  readonly timeoutMs?: number
  readonly limits?: Partial<ShareLimits>
  readonly hostsPath?: string
  readonly resolvConfPath?: string
}

/**
 * Lookups of one process. All organizations share them: 32 each, and from the last 32 of the 128 only the first two of
 * each, so that three organizations whose names hang leave room for sixteen others. A lookup is two sockets of UDP.
 */
const usualLimits: ShareLimits = { total: 128, reserved: 32, perShare: 32, sure: 2, waiting: 200 }

/** Of its organization's places, one name takes four: many endpoints on a host that hangs leave room for the others. */
const perName: ShareLimits = { total: Number.POSITIVE_INFINITY, reserved: 0, perShare: 4, sure: 0, waiting: 200 }

/** The first question is repeated after this time, once: a lost packet costs two seconds and not the answer. */
const questionMs = 2_000
const questions = 2

/** A name with more is no host but a mistake, or made to cost us time: each address is judged at each call. */
const maxAddresses = 64

const absent = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME'])

/**
 * Resolves names on the event loop, never in libuv's threads: `dns.lookup` takes those, cannot be cancelled, and the
 * connections to PostgreSQL and Redis wait for the same threads. Hosts file and search domains count as with the system.
 *
 * @throws NameError, LookupQueueError, or the signal's reason
 */
export const createResolver = ({
  servers,
  timeoutMs = 5_000,
  limits,
  hostsPath,
  resolvConfPath,
}: ResolverOptions = {}): Resolve => {
  const hosts = hostsFile(hostsPath)
  const search = searchList(resolvConfPath)
  const enterName = sharedPlaces(perName)
  const enterShare = sharedPlaces({ ...usualLimits, ...limits })
  const enter = async (name: string, share: string, signal: AbortSignal): Promise<() => void> => {
    let leaveName: (() => void) | undefined
    try {
      leaveName = await enterName(`${share} ${name}`, signal)
      const leaveShare = await enterShare(share, signal)
      return () => {
        leaveShare()
        leaveName?.()
      }
    } catch (error) {
      leaveName?.()
      if (error instanceof QueueFullError || signal.aborted) throw new LookupQueueError(tooMany(name), { cause: error })
      throw error
    }
  }

  return async (name, { signal, share = 'host' }) => {
    const own = await hosts(name)
    if (own.length > 0) return own
    const candidates = await search(name)
    const leave = await enter(name, share, signal)
    // A resolver of its own for each lookup: `cancel` ends all questions of a resolver.
    const resolver = new Resolver({ timeout: questionMs, tries: questions })
    if (servers) resolver.setServers(servers)
    const late = AbortSignal.timeout(timeoutMs)
    const cancel = () => resolver.cancel()
    const over = AbortSignal.any([signal, late])
    over.addEventListener('abort', cancel, { once: true })
    try {
      const { addresses, failure } = await firstFound(resolver, candidates, over)
      signal.throwIfAborted()
      if (addresses.length > maxAddresses) throw new NameError(manyAddresses(name))
      if (addresses.length > 0) return addresses
      if (over.aborted) throw new NameError(noAnswer(name, timeoutMs))
      if (failure !== undefined) throw new NameError(refused(name, failure))
      return []
    } finally {
      over.removeEventListener('abort', cancel)
      leave()
    }
  }
}

/** Whether each is an address of a name server, with a port or without. */
export const areServers = (servers: readonly string[]): boolean => {
  try {
    new Resolver().setServers(servers)
    return servers.length > 0
  } catch {
    return false
  }
}

interface Answer {
  readonly addresses: readonly string[]
  /** The code of the name server's failure, if it has not said that there is no such name. */
  readonly failure?: string | undefined
}

const firstFound = async (resolver: Resolver, names: readonly string[], over: AbortSignal): Promise<Answer> => {
  let failure: string | undefined
  for (const name of names) {
    if (over.aborted) break
    const answer = await ask(resolver, name)
    if (answer.addresses.length > 0) return answer
    failure ??= answer.failure
  }
  return { addresses: [], failure }
}

/** Both families at once. One that fails leaves the other's addresses: the connection goes to those alone. */
const ask = async (resolver: Resolver, name: string): Promise<Answer> => {
  const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
  const codes = answers.flatMap((one) => (one.status === 'rejected' ? [String(one.reason?.code ?? one.reason)] : []))
  return {
    addresses: answers.flatMap((one) => (one.status === 'fulfilled' ? one.value : [])),
    failure: codes.find((code) => !absent.has(code)),
  }
}

/** For a connection: these addresses, whatever name is asked for. */
export const pinnedTo = (addresses: readonly string[]): LookupFunction => {
  const found = addresses.map((address) => ({ address, family: isIP(address) }))
  const [first = { address: '', family: 4 }] = found
  return (_name, { all }, answer) => (all ? answer(null, found) : answer(null, first.address, first.family))
}

const noAnswer = (name: string, ms: number): string =>
  `The name ${name} was not resolved within ${ms / 1_000} seconds. Check that the name servers of its domain answer, all of them.`

const refused = (name: string, code: string): string =>
  `The name ${name} could not be resolved for the moment (${code}). Check the name servers of its domain, and those of the machine that Lapse runs on.`

const tooMany = (name: string): string =>
  `The name ${name} was not resolved: too many names of this organization are waiting for slow name servers. Check the name servers of its endpoints.`

const manyAddresses = (name: string): string =>
  `The name ${name} has more than ${maxAddresses} addresses. Give a name with fewer.`
