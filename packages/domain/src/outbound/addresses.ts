import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
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
  'This address is not called, for it is not a public one. Give a public address, or let whoever runs Lapse name it in LAPSE_ALLOW_ADDRESSES.'
const notEncrypted =
  'Give an address that begins with https://. Without encryption only those that LAPSE_ALLOW_ADDRESSES names are called.'

/**
 * Which addresses may be called. Public ones, encrypted; and those of a list, which wins, and may be called without
 * encryption too. Everything that a machine finds only inside its own network is refused: private, loopback, link-local,
 * metadata, shared, multicast, reserved, and what hides such an address in one of IPv6.
 */
export class Addresses {
  readonly #listed: readonly Range[]

  /** @param listed addresses, and ranges such as `10.0.0.0/8`. @throws TypeError naming what is neither */
  constructor(listed: readonly string[] = []) {
    this.#listed = listed.map((text) => {
      const range = rangeOf(text)
      if (!range) throw new TypeError(`${JSON.stringify(text)} is no address and no range of addresses`)
      return range
    })
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
      known.length > 0
        ? known.some((address) => this.mayCall(address, { encrypted }))
        : encrypted || this.#listed.length > 0
    if (!possible) throw no(encrypted ? notPublic : notEncrypted)
    return url.href
  }

  #isListed(address: string): boolean {
    const parsed = parse(address)
    return parsed !== undefined && this.#listed.some((range) => isWithin(parsed, range))
  }
}

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
