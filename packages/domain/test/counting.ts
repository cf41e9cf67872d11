import { Advancer } from '../src/advance.ts'
import { openDatabase, type Sql } from '../src/database.ts'
import { Ground } from '../src/ground.ts'
import { HookSlots } from '../src/hook-slots.ts'
import type { Kind } from '../src/index.ts'
import { Addresses } from '../src/outbound/addresses.ts'
import { peopleOn } from '../src/people/people.ts'
import { Registry } from '../src/registry.ts'
import { Resources } from '../src/resources.ts'
import { Secrets } from '../src/secret.ts'

/** People whose statements are counted, those inside transactions too. */
export const counting = (url: string, kinds: readonly Kind[]) => {
  const database = openDatabase({ url, connections: 1 })
  let count = 0
  const counted = <T extends Sql>(db: T): T =>
    new Proxy(db, {
      get: (target, name) => {
        if (name === '$queryRaw' || name === '$executeRaw') count += 1
        const value = target[name as keyof T]
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  const wrapped: typeof database = {
    connections: database.connections,
    $queryRaw: (query) => counted(database).$queryRaw(query),
    $executeRaw: (query) => counted(database).$executeRaw(query),
    transaction: (act) => database.transaction((tx) => act(counted(tx))),
    report: database.report,
    on: () => wrapped,
    locks: database.locks,
    close: database.close,
  }
  const registry = new Registry(kinds)
  const secrets = new Secrets(['a key for the tests of the domain alone'])
  const advancer = new Advancer(wrapped, registry, new HookSlots(wrapped.connections))
  const resources = new Resources(wrapped, registry, advancer, () => {})
  return {
    people: peopleOn(
      new Ground({ database: wrapped, registry, secrets, resources, addresses: new Addresses() }, async () => true),
    ),
    resources,
    statements: () => count,
    close: database.close,
  }
}
