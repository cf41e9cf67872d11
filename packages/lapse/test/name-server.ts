import { Resolver } from 'node:dns/promises'
import dns2 from 'dns2'
import { afterAll } from 'vitest'
import type { Resolve } from '../src/outbound/call.ts'

const { Packet } = dns2

type Records = { readonly A?: readonly string[]; readonly AAAA?: readonly string[]; readonly CNAME?: string }

/** What a name stands for when it is asked the nth time, from 1 on. */
export type Zone = Record<string, (time: number) => Records>

/** A name server that may change its mind with every question, and how to ask it. */
export const nameServer = async (zone: Zone) => {
  const asked = new Map<string, number>()
  const server = dns2.createServer({
    udp: true,
    handle: (request, send) => {
      const response = Packet.createResponseFromRequest(request)
      const question = request.questions[0]
      const name = question?.name ?? ''
      // Questions for IPv4 are counted; one for IPv6 comes with each.
      const time = (asked.get(name) ?? 0) + (question?.type === Packet.TYPE.A ? 1 : 0)
      asked.set(name, time)
      const answer = (of: string, wanted: Records, type: 'A' | 'AAAA') => {
        for (const address of wanted[type] ?? [])
          response.answers.push({ name: of, type: Packet.TYPE[type], class: Packet.CLASS.IN, ttl: 0, address } as never)
      }
      const type = question?.type === Packet.TYPE.AAAA ? 'AAAA' : 'A'
      const records = zone[name]?.(Math.max(1, time)) ?? {}
      answer(name, records, type)
      if (records.CNAME) {
        const alias = { name, type: Packet.TYPE.CNAME, class: Packet.CLASS.IN, ttl: 0, domain: records.CNAME }
        response.answers.push(alias as never)
        answer(records.CNAME, zone[records.CNAME]?.(1) ?? {}, type)
      }
      void send(response)
    },
  })
  const { udp } = await server.listen({ udp: { port: 0, address: '127.0.0.1' } })
  afterAll(() => server.close())
  const resolver = new Resolver({ timeout: 2_000 })
  resolver.setServers([`127.0.0.1:${udp?.port}`])
  const resolve: Resolve = async (name) => {
    const four = await resolver.resolve4(name).catch(() => [])
    const six = await resolver.resolve6(name).catch(() => [])
    return [...four, ...six]
  }
  return { resolve, asked: (name: string) => asked.get(name) ?? 0 }
}
