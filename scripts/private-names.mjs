// Loaded before an application (--import): its resolvers ask the name server of PRIVATE_NAME_SERVER (address:port) instead
// of the machine's. What resolves by the system (dns.lookup) goes on doing so.
import dns from 'node:dns'
import promises from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'

const server = process.env.PRIVATE_NAME_SERVER

const asking = (Resolver) =>
  new Proxy(Resolver, {
    construct: (target, args, newTarget) => {
      const resolver = Reflect.construct(target, args, newTarget)
      resolver.setServers([server])
      return resolver
    },
  })

if (server) {
  dns.Resolver = asking(dns.Resolver)
  promises.Resolver = asking(promises.Resolver)
  syncBuiltinESMExports()
}
