import dns from 'node:dns'
import promises from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'

// Loaded before the application: its resolvers ask the benchmark's own name server instead of the machine's.
const server = process.env.BENCH_NAME_SERVER ?? ''

const asking = <R extends new (options?: dns.ResolverOptions) => { setServers(servers: string[]): void }>(
  Resolver: R,
): R =>
  new Proxy(Resolver, {
    construct: (target, [options], newTarget) => {
      const resolver = Reflect.construct(target, [options], newTarget)
      resolver.setServers([server])
      return resolver
    },
  })

dns.Resolver = asking(dns.Resolver)
promises.Resolver = asking(promises.Resolver)
dns.promises.Resolver = promises.Resolver
syncBuiltinESMExports()
