import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Addresses } from '../src/outbound/addresses.ts'
import { checkHeaders } from '../src/outbound/headers.ts'

const encrypted = { encrypted: true }
const strict = new Addresses()

/** The address as it would be called, or why it would not be. */
const check = (url: string, addresses = strict): string => {
  try {
    return addresses.checkUrl(url)
  } catch (error) {
    return (error as { detail: string }).detail
  }
}

/** Every way to write an address that only this machine, or only its network, should reach. */
const forbiddenHosts = `
  127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 0x7f000001 0x7f.1 0x7F.0.0.0x1 0177.0.0.1 017700000001 00000177.1
  127.0.0.1. 1２7.0.0.1 ①②⑦.0.0.1 127。0。0。1 %31%32%37.0.0.1
  localhost LOCALHOST localhost. api.localhost a.b.localhost. ｌocalhost
  0.0.0.0 0 0x0 0.1.2.3
  10.0.0.1 10.255.255.255 0xa.1 012.0.0.1 172.16.0.1 172.31.255.254 192.168.0.1 192.168.1 3232235521 0xc0a80001
  169.254.169.254 169.254.43518 2852039166 0xa9fea9fe 0xA9.0xFE.0xA9.0xFE 0251.0376.0251.0376 169.254.170.2
  168.63.129.16 0xa83f8110 100.64.0.1 100.100.100.200 100.127.255.255 192.0.0.192
  192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
  224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 4294967295
  [::1] [0:0:0:0:0:0:0:1] [0000::0001] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:a9fe:a9fe] [::ffff:10.0.0.1]
  [::ffff:0:127.0.0.1] [::127.0.0.1] [::7f00:1] [::8.8.8.8]
  [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [64:ff9b::10.0.0.1] [64:ff9b:1::8.8.8.8] [64:ff9b:1::7f00:1]
  [2002:7f00:1::] [2002:a9fe:a9fe::1] [2002:0a00:0001::] [2002:808:808::] [2001:0:7f00:1::] [2001::1] [2001:0:4136:e378:8000:63bf:3fff:fdd2]
  [fe80::1] [febf::1] [fec0::1] [fc00::1] [fd00::1] [fd00:ec2::254] [fd20:ce::254]
  [ff02::1] [ff0e::1] [100::1] [2001:db8::1] [3fff::1] [2001:2::1] [2001:10::1] [2001:20::1] [5f00::1] [4000::1] [1::1]
`
  .trim()
  .split(/\s+/)

const publicHosts = `
  example.com EXAMPLE.com example.com. bücher.example xn--bcher-kva.example a-b.example localhost.example.com notlocalhost
  8.8.8.8 1.1.1.1 172.15.0.1 172.32.0.1 192.167.255.255 11.0.0.1 9.255.255.255 100.63.255.255 100.128.0.1 168.63.129.15 223.255.255.255
  0x08.8.8.8 [2606:4700:4700::1111] [2a00:1450:4001:81b::200e] [::ffff:8.8.8.8] [64:ff9b::8.8.8.8]
`
  .trim()
  .split(/\s+/)

describe('H2: an address that is not public is refused before anything is resolved', () => {
  it('the table has all the spellings that matter', () => expect(forbiddenHosts.length).toBeGreaterThan(90))

  it.each(forbiddenHosts)('%s', (host) => {
    expect(check(`https://${host}/`)).toMatch('not a public one')
    expect(check(`https://${host}:8443/hook?a=b#c`)).toMatch('not a public one')
  })

  it.each(publicHosts)('but not %s', (host) => expect(check(`https://${host}/`)).toMatch(/^https:/))
})

describe('an address to be called', () => {
  it.each([
    ['no address', 'Give the whole address'],
    ['/hook', 'Give the whole address'],
    ['//example.com/', 'Give the whole address'],
    ['https:/example.com', 'Give the whole address'],
    ['https:\\\\example.com', 'Give the whole address'],
    ['https://exa\nmple.com/', 'Give the whole address'],
    [' https://example.com/', 'Give the whole address'],
    ['https://example.com/\t', 'Give the whole address'],
    ['https://', 'Give the whole address'],
    ['https://256.256.256.256/', 'Give the whole address'],
    ['https://1.2.3.4.5/', 'Give the whole address'],
    ['https://[::1/', 'Give the whole address'],
    ['https://example.com:99999/', 'Give the whole address'],
    ['ftp://example.com/', 'Give the whole address'],
    ['file:///etc/passwd', 'Give the whole address'],
    ['gopher://example.com/', 'Give the whole address'],
    ['javascript:alert(1)', 'Give the whole address'],
    ['http://example.com/', 'begins with https://'],
    ['http://8.8.8.8/', 'begins with https://'],
    ['https://user@example.com/', 'a login'],
    ['https://:secret@example.com/', 'a login'],
    ['https://8.8.8.8@127.0.0.1/', 'a login'],
    [`https://example.com/${'a'.repeat(2_000)}`, 'At most 2000'],
  ])('%s: %s', (url, why) => {
    expect(check(url)).toMatch(why)
    expect(() => strict.checkUrl(url, 'calls.0.url')).toThrow(
      expect.objectContaining({ code: 'invalid', field: 'calls.0.url' }),
    )
  })

  it('is kept as it will be called, without what is never sent', () => {
    expect(check('HTTPS://Example.COM:443/a b'.replace(' ', '%20'))).toBe('https://example.com/a%20b')
    expect(check('https://bücher.example?q=1#part')).toBe('https://xn--bcher-kva.example/?q=1')
    expect(check('https://134744072/')).toBe('https://8.8.8.8/')
  })
})

describe('the list of what may be called', () => {
  const listed = new Addresses(['127.0.0.2', '10.1.0.0/16', '::1/128', 'fd12:3456::/48'])

  it('wins, and goes for every spelling, encrypted or not', () => {
    for (const host of [
      '127.0.0.2',
      '0x7f.2',
      '[::ffff:127.0.0.2]',
      '10.1.255.255',
      '[::1]',
      'localhost',
      '[fd12:3456::9]',
    ])
      for (const scheme of ['https', 'http']) expect(check(`${scheme}://${host}/`, listed)).toMatch(/^https?:/)
  })

  it('goes no further than it says', () => {
    for (const host of ['127.0.0.1', '10.2.0.1', '[::2]', '[fd12:3457::1]', '169.254.169.254', '[64:ff9b::127.0.0.2]'])
      expect(check(`https://${host}/`, listed)).toMatch('not a public one')
    expect(check('http://8.8.8.8/', listed)).toMatch('begins with https://')
    expect(listed.mayCall('8.8.8.8', { encrypted: false })).toBe(false)
    expect(listed.mayCall('10.1.2.3', { encrypted: false })).toBe(true)
  })

  it('leaves a name to its resolution, without encryption too', () =>
    expect(check('http://billing.internal/', listed)).toBe('http://billing.internal/'))

  it.each([
    '10.0.0.0/33',
    '10.0.0',
    '0x7f.1',
    '::1/129',
    '10.0.0.0/',
    '/8',
    'example.com',
    '*',
    '',
    '::ffff:10.0.0.0/104',
    '10.0.0.0/8/8',
  ])('does not take %j', (text) => expect(() => new Addresses([text])).toThrow(TypeError))
})

it('whatever address of IPv4 it is, hiding it in IPv6 makes it no better', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const allowed = strict.mayCall(address, encrypted)
      expect(strict.mayCall(`::ffff:${address}`, encrypted)).toBe(allowed)
      expect(strict.mayCall(`64:ff9b::${address}`, encrypted)).toBe(allowed)
      expect(strict.mayCall(`::${address}`, encrypted)).toBe(false)
      expect(strict.mayCall(`::ffff:0:${address}`, encrypted)).toBe(false)
    }),
  )
})

it('what is no address is not called', () => {
  for (const text of [
    '',
    'localhost',
    '127.1',
    '8.8.8',
    '0x8.8.8.8',
    '08.8.8.8',
    '8.8.8.8 ',
    '8.8.8.8/32',
    '[::1]',
    ':::',
  ])
    expect(strict.mayCall(text, encrypted)).toBe(false)
})

describe('headers that somebody wants to be sent', () => {
  const refuse = (headers: Record<string, string>) => {
    try {
      return checkHeaders(headers, { most: 3 })
    } catch (error) {
      return (error as { field: string }).field
    }
  }

  it.each([
    'Host',
    'host',
    'CONTENT-LENGTH',
    'Transfer-Encoding',
    'Connection',
    'Keep-Alive',
    'Upgrade',
    'TE',
    'Trailer',
    'Expect',
    'Proxy-Authorization',
    'bad name',
    'bad:name',
    'bad\r\nX-Injected',
    '',
    'ä',
  ])('may not be %j', (name) => expect(refuse({ [name]: 'x' })).toBe(`headers.${name}`))

  it.each(['a\r\nX-Injected: 1', 'a\nb', 'a\rb', 'a\0b', 'ü', 'x'.repeat(4_001)])('may not say %j', (value) =>
    expect(refuse({ 'X-A': value })).toBe('headers.X-A'),
  )

  it('are bounded, and there once each', () => {
    expect(refuse({ a: '1', b: '2', c: '3', d: '4' })).toBe('headers')
    expect(refuse({ 'X-A': '1', 'x-a': '2' })).toBe('headers.x-a')
    // Servers read the one as the other.
    for (const name of ['X_A', 'content_length', 'Transfer_Encoding'])
      expect(refuse({ [name]: '1' })).toBe(`headers.${name}`)
    expect(refuse({ Authorization: ' Bearer abc ', 'X-Empty': '' })).toEqual({
      Authorization: 'Bearer abc',
      'X-Empty': '',
    })
  })
})
