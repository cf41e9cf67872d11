import type { Domain, Letter } from '../src/index.ts'

type Stage = {
  readonly domain: Domain
  readonly sql: <Row extends object>(text: string, values?: unknown[]) => Promise<Row[]>
}

/** The mail that is owed for a resource's issue, as the worker writes it; nothing when none is. */
export const letterOf = async (
  { domain, sql }: Stage,
  id: string,
): Promise<{ to: string; letter: Letter; secrets: Record<string, string> } | undefined> => {
  const [delivery] = await sql<{ target: string; sealed: Buffer | null }>(
    `SELECT target, sealed FROM delivery WHERE resource_id = $1 AND event = 'issued'`,
    [id],
  )
  if (!delivery) return undefined
  const resource = await domain.resources.get(id)
  const secrets = delivery.sealed ? domain.secrets.open(id, delivery.sealed) : {}
  const secret = (name: string) => {
    if (secrets[name] === undefined) throw new Error(`no ${name}`)
    return secrets[name]
  }
  const letter = domain.registry.get(resource.kind).mail.issued?.({
    ...{ type: 'issued', resource, at: resource.issuedAt, from: null, to: resource.status },
    ...{ remaining: 'a while', until: 'noon', url: (path) => `https://lapse.example${path}`, secret, secrets },
  })
  return letter && { to: delivery.target, letter, secrets }
}
