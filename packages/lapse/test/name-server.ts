import dns2 from 'dns2'
import { afterAll } from 'vitest'
import { createResolver } from '../src/outbound/resolve.ts'

const { Packet } = dns2

type Records = {
  readonly A?: readonly string[]
  readonly AAAA?: readonly string[]
  readonly CNAME?: string
  /** Questions of this type get no answer. */
  readonly silent?: readonly ('A' | 'AAAA')[]
  /** The server's own failure, such as 2 for SERVFAIL. */
  readonly rcode?: number
}

/** What a name stands for when it is asked the nth time, from 1 on. */
export type Zone = Record<string, (time: number) => Records>

/** A name server that may change its mind with every question, and how to ask it. */
export const nameServer = async (zone: Zone) => {
  const asked = new Map<string, number>()
  const names: string[] = []
  const handle: NonNullable<Parameters<typeof dns2.createServer>[0]>['handle'] = (request, send) => {
    const response = Packet.createResponseFromRequest(request)
    const question = request.questions[0]
    const name = question?.name ?? ''
    // Questions for IPv4 are counted; one for IPv6 comes with each.
    const time = (asked.get(name) ?? 0) + (question?.type === Packet.TYPE.A ? 1 : 0)
    asked.set(name, time)
    if (question?.type === Packet.TYPE.A) names.push(name)
    const answer = (of: string, wanted: Records, type: 'A' | 'AAAA') => {
      for (const address of wanted[type] ?? [])
        response.answers.push({ name: of, type: Packet.TYPE[type], class: Packet.CLASS.IN, ttl: 0, address } as never)
    }
    const type = question?.type === Packet.TYPE.AAAA ? 'AAAA' : 'A'
    const records = zone[name]?.(Math.max(1, time)) ?? {}
    if (records.silent?.includes(type)) return
    if (records.rcode !== undefined) response.header.rcode = records.rcode
    answer(name, records, type)
    if (records.CNAME) {
      const alias = { name, type: Packet.TYPE.CNAME, class: Packet.CLASS.IN, ttl: 0, domain: records.CNAME }
      response.answers.push(alias as never)
      answer(records.CNAME, zone[records.CNAME]?.(1) ?? {}, type)
    }
    void send(response)
  }
  // What is too long for a packet is asked for again over TCP, on the same port.
  const overTcp = dns2.createServer({ tcp: true, handle })
  const { tcp } = await overTcp.listen({ tcp: { port: 0, address: '127.0.0.1' } })
  const overUdp = dns2.createServer({ udp: true, handle })
  const port = tcp?.port ?? 0
  await overUdp.listen({ udp: { port, address: '127.0.0.1' } })
  afterAll(() => Promise.all([overTcp.close(), overUdp.close()]))
  const servers = [`127.0.0.1:${port}`]
  return { servers, resolve: createResolver({ servers }), asked: (name: string) => asked.get(name) ?? 0, names }
}
