import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { validate as isUuid } from 'uuid'
import { LapseError } from '../errors.ts'

type Range = ReturnType<typeof ipaddr.parseCIDR>

/** All that is public in IPv6 lies in here. */
const globalUnicast = ipaddr.IPv6.parse('2000::')
/** Where networks without IPv4 reach it: their DNS gives such an address for a host that has none of its own in IPv6. */
const translated = ipaddr.IPv6.parse('64:ff9b::')
/** Azure's own services for its machines: of all such addresses the one that looks public. */
const wireServer = ipaddr.IPv4.parse('168.63.129.16')

const longestUrl = 2_000

const notPublic =
  'This address is not called, for it is not a public one. Give a public address, or let the operator of Lapse allow it: LAPSE_ALLOW_ADDRESSES, and LAPSE_ALLOW_ADDRESSES_FOR for an organization.'
const notEncrypted =
  'Give an address that begins with https://. Without encryption only those that LAPSE_ALLOW_ADDRESSES names are called.'

/**
 * Which addresses may be called. Public ones, encrypted; and those of a list, which wins, and may be called without
 * encryption too. Everything that a machine finds only inside its own network is refused: private, loopback, link-local,
 * metadata, shared, multicast, reserved, and what hides such an address in one of IPv6.
 */
export class Addresses {
  readonly #listed: readonly Range[]
  /** Ids in lower case, or `*`. */
  readonly #organizations: ReadonlySet<string>

  /**
   * @param listed addresses, and ranges such as `10.0.0.0/8`
   * @param options.organizations for whom the list is, besides the host: ids, or `*` for all organizations
   * @throws TypeError naming what is neither
   */
  constructor(
    listed: readonly string[] = [],
    { organizations = [] }: { organizations?: readonly string[] | undefined } = {},
  ) {
    this.#listed = listed.map((text) => {
      const range = rangeOf(text)
      if (!range) throw new TypeError(`${JSON.stringify(text)} is no address and no range of addresses`)
      return range
    })
    const wrong = organizations.find((text) => !isOrganizationOrAll(text))
    if (wrong !== undefined) throw new TypeError(`${JSON.stringify(wrong)} is no id of an organization, and not *`)
    this.#organizations = new Set(organizations.map((text) => text.toLowerCase()))
  }

  /** Those that this organization may call; `null`: the host. The list is for the host, and for organizations that are named. */
  for(organizationId: string | null): Addresses {
    const isNamed = organizationId === null || this.#organizations.has('*') || this.#organizations.has(organizationId)
    return isNamed || !this.hasList ? this : publicOnly
  }

  /** Whether anything but public addresses may be called. */
  get hasList(): boolean {
    return this.#listed.length > 0
  }

  /** Judges an address as the network has it, not a name. */
  mayCall(address: string, { encrypted }: { encrypted: boolean }): boolean {
    return this.#isListed(address) || (encrypted && isPublic(address))
  }

  /**
   * Refuses what can be told to be forbidden before anything is resolved, and gives the address as it will be called.
   * A name that passes is judged again by what it resolves to, at each call.
   *
   * @throws LapseError `invalid`, naming the field
   */
  checkUrl(text: string, field = 'url'): string {
    const no = (detail: string) => new LapseError('invalid', { field, detail })
    // The parser of URLs forgives spaces, line breaks and backslashes; whoever reads them elsewhere may not.
    if (!/^https?:\/\/[^\s\\]+$/i.test(text) || !URL.canParse(text))
      throw no('Give the whole address, such as https://example.com/hook.')
    const url = new URL(text)
    url.hash = ''
    if (url.href.length > longestUrl) throw no(`At most ${longestUrl} characters.`)
    if (url.username || url.password)
      throw no('An address with a login in it is not called: put the login into a header.')
    const encrypted = url.protocol === 'https:'
    const known = knownAddresses(url)
    const possible =
      known.length > 0 ? known.some((address) => this.mayCall(address, { encrypted })) : encrypted || this.hasList
    if (!possible) throw no(encrypted ? notPublic : notEncrypted)
    return url.href
  }

  #isListed(address: string): boolean {
    const parsed = parse(address)
    return parsed !== undefined && this.#listed.some((range) => isWithin(parsed, range))
  }
}

const publicOnly = new Addresses()

/** Whether it can stand in the list of whom that list is for. */
export const isOrganizationOrAll = (text: string): boolean => text === '*' || isUuid(text)

/** Whether it can stand in the list of what may be called. */
export const isAddressRange = (text: string): boolean => rangeOf(text) !== undefined

/** What a URL's host says without being resolved. Its parser has made addresses of all odd spellings of IPv4. */
const knownAddresses = (url: URL): string[] => {
  const host = hostOf(url)
  if (isIP(host)) return [host]
  return /(^|\.)localhost\.?$/.test(host) ? ['127.0.0.1', '::1'] : []
}

/** A URL's host without the brackets of IPv6. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1')

const isPublic = (text: string): boolean => {
  const address = parse(text)
  if (!address) return false
  if (address instanceof ipaddr.IPv4)
    return address.range() === 'unicast' && address.toString() !== wireServer.toString()
  if (address.match(translated, 96)) return isPublic(address.toByteArray().slice(12).join('.'))
  return address.match(globalUnicast, 3) && address.range() === 'unicast'
}

/**
 * One of IPv4 that is written as one of IPv6 is what it is. The parser takes `::8.8.8.8` for such a one too, and it is none.
 */
const parse = (text: string) => (isIP(text) && !/^::\d+\./.test(text) ? ipaddr.process(text) : undefined)

const rangeOf = (text: string): Range | undefined => {
  const [, address = '', prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const family = isIP(address)
  const bits = family === 4 ? 32 : 128
  const length = prefix === undefined ? bits : Number(prefix)
  // A range of IPv4 inside of IPv6 would never match: it is to be written as IPv4.
  if (!family || length > bits || ipaddr.parse(address).range() === 'ipv4Mapped') return undefined
  return [ipaddr.parse(address), length]
}

const isWithin = (address: Range[0], [network, length]: Range): boolean =>
  address.kind() === network.kind() && address.match(network, length)
