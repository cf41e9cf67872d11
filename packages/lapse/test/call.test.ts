import { randomUUID } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { Addresses } from '@lapse/domain'
import { testSink, until } from '@lapse/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { type Call, CallError, type Called, createCaller, type Resolve } from '../src/outbound/call.ts'
import { createResolver } from '../src/outbound/resolve.ts'
import { nameServer } from './name-server.ts'

// Two hosts on one port: one that may be called, and one that may not.
const allowed = await testSink({ host: '127.0.0.2' })
const forbidden = await testSink({ host: '127.0.0.1', port: allowed.port })
const addresses = new Addresses(['127.0.0.2'])
const [good, bad] = ['127.0.0.2', '127.0.0.1']

const { resolve, asked } = await nameServer({
  'good.test': () => ({ A: [good] }),
  'rebinding.test': (time) => ({ A: [time === 1 ? good : bad] }),
  'alternating.test': (time) => ({ A: [time % 2 === 1 ? good : bad] }),
  'both.test': (time) => ({ A: time % 2 === 0 ? [good, bad] : [bad, good] }),
  'alias.test': () => ({ CNAME: 'inner.test' }),
  'inner.test': () => ({ A: [bad] }),
  'good-alias.test': () => ({ CNAME: 'good.test' }),
  'mapped.test': () => ({ AAAA: [`0:0:0:0:0:ffff:7f00:1`] }),
  'good-mapped.test': () => ({ AAAA: [`0:0:0:0:0:ffff:7f00:2`] }),
  'mixed.test': () => ({ A: [good], AAAA: ['0:0:0:0:0:0:0:1'] }),
  'metadata.test': () => ({ A: ['169.254.169.254'] }),
  'nothing.test': () => ({}),
})
const caller = createCaller(addresses, resolve)
const post: Omit<Call, 'url'> = { method: 'POST', headers: {}, body: '{}', organizationId: null }
const at = (host: string, path = '/') => `http://${host}:${allowed.port}${path}`

/** How it was answered, or why not. */
const outcome = (url: string, call: Partial<Call> = {}, by = caller): Promise<Called | string> =>
  by({ ...post, url, ...call }).catch((error: Error) => error.message)

/** A server of bytes, for what no server of HTTP would do. */
const raw = async (talk: (socket: Socket) => void): Promise<string> => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    socket.once('data', () => talk(socket))
  })
  await new Promise<void>((listening) => server.listen(0, good, listening))
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `http://${good}:${(server.address() as { port: number }).port}/`
}

describe('H2: a name is judged by what it stands for at the very call', () => {
  it('one that stood for an allowed address and now for another is refused from then on', async () => {
    expect(await outcome(at('rebinding.test'))).toMatchObject({ status: 204 })
    for (let i = 0; i < 40; i++) expect(await outcome(at('rebinding.test'))).toMatch(/rebinding.test is not called/)
    expect(forbidden.connections()).toBe(0)
  })

  it('each call asks once, and goes to what was answered then: what the next question would bring is not waited for', async () => {
    const results: (Called | string)[] = []
    for (let i = 0; i < 80; i++) results.push(await outcome(at('alternating.test')))
    const answered = results.filter((result) => typeof result !== 'string')
    expect([answered.length, asked('alternating.test')]).toEqual([40, 80])
    expect(forbidden.connections()).toBe(0)
  })

  it.each(['both.test', 'alias.test', 'mapped.test', 'mixed.test', 'metadata.test'])(
    '%s is refused every time, for one of its addresses may not be called',
    async (name) => {
      for (let i = 0; i < 20; i++) expect(await outcome(at(name))).toMatch(`${name} is not called`)
      expect(await outcome(`https://${name}:${allowed.port}/`)).toMatch('not a public one')
      expect(forbidden.connections()).toBe(0)
    },
  )

  it.each(['good.test', 'good-alias.test', 'good-mapped.test', 'good.test.'])('%s is called', async (name) => {
    expect(await outcome(at(name))).toMatchObject({ status: 204 })
  })

  it('one that stands for nothing says so', async () =>
    expect(await outcome(at('nothing.test'))).toBe('Nothing is known under this name. Is the address right?'))

  it('without encryption a public address is not called, whatever its name', async () => {
    const by = createCaller(addresses, async () => ['8.8.8.8'])
    expect(await outcome('http://example.com/', {}, by)).toMatch('begins with https://')
  })

  it('no refusal tells which addresses a name stands for', async () => {
    for (const name of ['both.test', 'metadata.test', 'mapped.test'])
      expect(await outcome(`https://${name}/`)).not.toMatch(/127|169|::/)
  })
})

describe('H2: an address that is no name', () => {
  it.each([bad, '0x7f.1', '2130706433', '[::ffff:127.0.0.1]', 'localhost'])('%s is refused', async (host) => {
    expect(await outcome(at(host))).toMatch('begins with https://')
    expect(await outcome(`https://${host}:${allowed.port}/`)).toMatch('not a public one')
    expect(forbidden.connections()).toBe(0)
  })

  it.each([good, '0x7f.2', '[::ffff:127.0.0.2]'])('%s is called, being on the list', async (host) =>
    expect(await outcome(at(host))).toMatchObject({ status: 204 }),
  )
})

describe('H2: an answer', () => {
  it.each([301, 302, 303, 307, 308])('%i is not followed', async (status) => {
    allowed.answerNext({ status, headers: { location: at(bad, '/secret') } })
    expect(await outcome(at(good))).toMatchObject({ status })
    expect(forbidden.connections()).toBe(0)
  })

  it('that does not come is cut off, and so is the connection', async () => {
    const closed = new Promise((gone) => allowed.answerNext((response) => response.once('close', gone)))
    expect(await outcome(at(good), { timeoutMs: 100 })).toBe('There was no whole answer within 0.1 seconds.')
    await closed
  })

  it('that comes drop by drop is cut off, its body as well as its headers', async () => {
    const closed = new Promise((gone) =>
      allowed.answerNext((response) => {
        const dripping = setInterval(() => response.write('x'), 10)
        response.once('close', () => gone(clearInterval(dripping)))
      }),
    )
    expect(await outcome(at(good), { timeoutMs: 200 })).toMatchObject({
      status: 200,
      broken: 'There was no whole answer within 0.2 seconds.',
    })
    await closed
    const slow = await raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      const dripping = setInterval(() => socket.write('X-A: a\r\n'), 10)
      socket.once('close', () => clearInterval(dripping))
    })
    expect(await outcome(slow, { timeoutMs: 200 })).toBe('There was no whole answer within 0.2 seconds.')
  })

  it('that does not end is cut at 64 KiB, and its status counts', async () => {
    const closed = new Promise((gone) =>
      allowed.answerNext((response) => {
        const pour = () => {
          while (!response.destroyed && response.write('x'.repeat(10_000)));
        }
        response.writeHead(201).on('drain', pour).once('close', gone)
        pour()
      }),
    )
    const answer = (await outcome(at(good))) as Called
    expect([answer.status, answer.text.length, answer.broken]).toEqual([201, 64 * 1024, undefined])
    await closed
  })

  it('that breaks off says so', async () => {
    const url = await raw((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this'))
    const broken = 'The connection was cut before the answer had come. (ECONNRESET)'
    expect(await outcome(url)).toMatchObject({ status: 200, text: 'only this', broken })
  })

  it.each<[string, string, string]>([
    ['is no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', 'The answer is not HTTP.'],
    [
      'leaves HTTP',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      'without an answer',
    ],
    ['is nothing', '', 'The connection was cut'],
    ['has endless headers', `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`, 'longer than 16 KiB'],
    ['promises and goes', 'HTTP/1.1 103 Early Hints\r\n\r\n', 'The connection was cut'],
  ])('that %s is refused in words', async (_, bytes, words) => {
    expect(await outcome(await raw((socket) => socket.end(bytes)))).toMatch(words)
  })

  it('of nobody says so, and names no address', async () => {
    const by = createCaller(addresses, async () => [good])
    const free = await raw(() => {})
    expect(await outcome(`http://closed.test:1/`, {}, by)).toBe(
      'The connection was refused. Does anybody listen there? (ECONNREFUSED)',
    )
    expect(await outcome(free.replace('http:', 'https:'), { timeoutMs: 100 })).toMatch('no whole answer')
  })

  it('of a name server that is silent is not waited for', async () => {
    const silent: Resolve = () => new Promise(() => {})
    const by = createCaller(addresses, silent)
    expect(await outcome('https://example.com/', { timeoutMs: 50 }, by)).toMatch('no whole answer within 0.05 seconds')
  })

  it('is not waited for when the call is called off', async () => {
    const off = new AbortController()
    allowed.answerNext(() => off.abort())
    expect(await outcome(at(good), { signal: off.signal })).toBe('The call was called off.')
    expect(await outcome(at('good.test'), { signal: off.signal })).toBe('The call was called off.')
  })
})

/** How a call failed. */
const failure = async (url: string, call: Partial<Call> = {}, by = caller): Promise<CallError> => {
  const error = await by({ ...post, url, ...call }).catch((cause: unknown) => cause)
  if (!(error instanceof CallError)) throw new Error('it has not failed', { cause: error })
  return error
}

describe('a request that got no answer', () => {
  const sent = { sent: true, unreachable: true }
  const notSent = { sent: false, unreachable: true }

  it('was sent when it was written to its last byte: time over, closed, reset', async () => {
    allowed.answerNext(() => {})
    expect(await failure(at(good), { timeoutMs: 200 })).toMatchObject(sent)
    expect(await failure(await raw((socket) => socket.end()))).toMatchObject(sent)
    expect(await failure(await raw((socket) => socket.resetAndDestroy()))).toMatchObject(sent)
    expect(await failure(await raw((socket) => socket.end('no HTTP\r\n\r\n')))).toMatchObject(sent)
  })

  it('was sent also when it is called off afterwards, which says nothing of the host', async () => {
    const off = new AbortController()
    allowed.answerNext(() => off.abort())
    expect(await failure(at(good), { signal: off.signal })).toMatchObject({ sent: true, unreachable: false })
  })

  it('was not sent when it never got so far', async () => {
    const by = createCaller(addresses, async () => [good])
    expect(await failure('http://closed.test:1/', {}, by)).toMatchObject(notSent)
    expect(await failure(at('nothing.test'))).toMatchObject(notSent)
    const refused = { sent: false, unreachable: false }
    expect(await failure(at(bad))).toMatchObject(refused)
    expect(await failure(at('both.test'))).toMatchObject(refused)
    expect(await failure(at(good), { headers: { Host: 'internal' } })).toMatchObject(refused)
  })

  it('was not sent when the host has read only a part of it', async () => {
    const url = await raw((socket) => socket.pause())
    const body = 'x'.repeat(50_000_000)
    expect(await failure(url, { body, timeoutMs: 500 })).toMatchObject(notSent)
  })
})

describe('before the last byte', () => {
  /** A server that notes what arrives, and never answers. */
  const noting = async () => {
    const seen = { bytes: 0, closed: false }
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', ({ length }: Buffer) => {
        seen.bytes += length
      })
      socket.once('close', () => {
        seen.closed = true
      })
    })
    await new Promise<void>((listening) => server.listen(0, good, listening))
    afterAll(() => void server.close())
    return { seen, url: `http://${good}:${(server.address() as { port: number }).port}/` }
  }

  it('not even a header is written, and then all of it', async () => {
    const { seen, url } = await noting()
    let early: number | undefined
    const beforeLastByte = async () => {
      // Another call's way to this process and back: what had been written would be here.
      await outcome(at(good))
      early = seen.bytes
    }
    const calling = failure(url, { beforeLastByte, timeoutMs: 2_000, body: 'x'.repeat(100) })
    await until(() => seen.bytes > 100)
    expect(await calling).toMatchObject({ sent: true })
    expect(early).toBe(0)
  })

  it('it may be refused: nothing is written, the connection is closed, and the same error comes back', async () => {
    const { seen, url } = await noting()
    const error = new Error('the lease is over')
    await expect(caller({ ...post, url, beforeLastByte: () => Promise.reject(error) })).rejects.toBe(error)
    await until(() => seen.closed)
    expect(seen.bytes).toBe(0)
  })

  it('the address has been judged: what may not be called is not asked for', async () => {
    let asked = false
    const beforeLastByte = async () => {
      asked = true
    }
    expect(await outcome(at('both.test'), { beforeLastByte })).toMatch('is not called')
    expect(
      await outcome(
        'http://closed.test:1/',
        { beforeLastByte },
        createCaller(addresses, async () => [good]),
      ),
    ).toMatch('refused')
    expect(asked).toBe(false)
  })

  it('the time may be over, and nothing is written when it resolves later', async () => {
    const { seen, url } = await noting()
    let go = () => {}
    const waiting = new Promise<void>((resolve) => {
      go = resolve
    })
    const error = await failure(url, { beforeLastByte: () => waiting, timeoutMs: 200 })
    expect(error).toMatchObject({ sent: false, message: 'There was no whole answer within 0.2 seconds.' })
    go()
    await until(() => seen.closed)
    expect(seen.bytes).toBe(0)
  })

  it('an answer is none', async () => {
    const server = createServer((socket) => socket.on('error', () => {}).write('HTTP/1.1 200 OK\r\n\r\n'))
    await new Promise<void>((listening) => server.listen(0, good, listening))
    afterAll(() => void server.close())
    const url = `http://${good}:${(server.address() as { port: number }).port}/`
    const error = await failure(url, { beforeLastByte: () => new Promise(() => {}), timeoutMs: 5_000 })
    expect(error.sent).toBe(false)
    expect(error.message).not.toMatch('no whole answer')
  })
})

it('goes to an address that is not public for the organizations alone that may', async () => {
  const id = randomUUID()
  const by = createCaller(new Addresses([good], { organizations: [id] }), resolve)
  const before = allowed.requests.length
  for (const host of [good, 'good.test']) {
    expect(await outcome(at(host), { organizationId: randomUUID() }, by)).toMatch('begins with https://')
    expect(await outcome(at(host, '').replace('http:', 'https:'), { organizationId: randomUUID() }, by)).toMatch(
      'not a public one',
    )
  }
  expect(allowed.requests).toHaveLength(before)
  for (const organizationId of [id, null])
    expect(await outcome(at(good), { organizationId }, by)).toMatchObject({ status: 204 })
})

describe('a lookup', () => {
  it('is shared by those that the call names', async () => {
    const shares: unknown[] = []
    const by = createCaller(addresses, async (_, { share }) => {
      shares.push(share)
      return [good]
    })
    await outcome(at('good.test'), { share: 'organization' }, by)
    await outcome(at('good.test'), {}, by)
    expect(shares).toEqual(['organization', undefined])
  })

  it('that waited for those of its organization says nothing of the host', async () => {
    const { servers, names } = await nameServer({ 'silent.test': () => ({ silent: ['A', 'AAAA'] }) })
    const by = createCaller(addresses, createResolver({ servers, limits: { perShare: 1, waiting: 1 } }))
    const first = failure(at('silent.test'), { timeoutMs: 3_000 }, by)
    await until(() => names.includes('silent.test'))
    const waited = ['good', 'other'].map((name) => failure(at(`${name}.test`), { timeoutMs: 300 }, by))
    for (const { message, unreachable, sent } of await Promise.all(waited))
      expect([message, unreachable, sent]).toEqual([expect.stringContaining('too many names'), false, false])
    expect((await first).unreachable).toBe(true)
  })

  it('that is not over when the time is says which name it was', async () => {
    const by = createCaller(addresses, () => new Promise(() => {}))
    expect(await outcome('https://slow.test/', { timeoutMs: 50 }, by)).toBe(
      'There was no whole answer within 0.05 seconds: the name slow.test was not resolved. Check that the name servers of its domain answer, all of them.',
    )
  })
})

describe('encryption', () => {
  it('with a certificate that nobody we trust has signed is refused before anything is sent', async () => {
    const sink = await testSink({ host: good, tls: true })
    expect(await outcome(`https://good.test:${sink.port}/`)).toMatch('Its certificate is not valid')
    expect(await outcome(`${sink.url}`)).toMatch('Its certificate is not valid')
    expect(await outcome(`https://good.test:${allowed.port}/`)).toMatch('No encrypted connection')
    expect([sink.connections(), sink.requests.length]).toEqual([2, 0])
  })
})

describe('what is sent', () => {
  const last = () => allowed.requests.at(-1)

  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])('by %s is the body, whole', async (method) => {
    const body = JSON.stringify({ text: 'naïve 😀' })
    await outcome(at('good.test', '/a%20b?c=d'), {
      method,
      body,
      headers: { 'X-Own': 'mine', Authorization: 'Bearer x' },
    })
    expect(last()).toMatchObject({ method, path: '/a%20b?c=d', body })
    expect(last()?.headers).toMatchObject({
      host: `good.test:${allowed.port}`,
      'user-agent': 'Lapse',
      connection: 'close',
      'content-length': String(Buffer.byteLength(body)),
      'x-own': 'mine',
      authorization: 'Bearer x',
    })
  })

  it.each(['GET', 'HEAD', 'DELETE'])('by %s may be nothing', async (method) => {
    expect(await outcome(at(good), { method, body: undefined })).toMatchObject({ status: 204 })
    expect(last()).toMatchObject({ method, body: '' })
    expect(last()?.headers).not.toHaveProperty('transfer-encoding')
  })

  it('may bear another name than ours', async () => {
    await outcome(at(good), { headers: { 'user-agent': 'Acme' } })
    expect(last()?.headers['user-agent']).toBe('Acme')
  })

  it.each([
    ['X-A', 'a\r\nX-Injected: 1'],
    ['X-A', 'a\r\n\r\nGET /secret HTTP/1.1\r\nHost: x'],
    ['X-A\r\nX-Injected', 'a'],
    ['Host', 'internal'],
    ['Transfer-Encoding', 'chunked'],
    ['content-length', '0'],
    ['Connection', 'keep-alive'],
  ])('never has a header of %j: %j', async (name, value) => {
    const before = allowed.requests.length
    expect(await outcome(at(good), { headers: { [name]: value } })).toMatch(/header/)
    expect(allowed.requests.length).toBe(before)
  })

  it('goes past every proxy of the environment', async () => {
    const names = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY']
    for (const name of names) process.env[name] = at(bad)
    try {
      expect(await outcome(at('good.test'))).toMatchObject({ status: 204 })
    } finally {
      for (const name of names) delete process.env[name]
    }
    expect(forbidden.connections()).toBe(0)
  })
})
