export interface RedisNode {
  readonly host: string
  readonly port: number
}

interface Login {
  readonly username?: string
  readonly password?: string
}

/** Where Redis is: one server, a cluster's nodes, or sentinels that know which server it is. */
export type RedisAddress =
  | { readonly at: 'server'; readonly url: string }
  | ({ readonly at: 'cluster'; readonly nodes: readonly RedisNode[]; readonly tls: boolean } & Login)
  | ({
      readonly at: 'sentinels'
      readonly sentinels: readonly RedisNode[]
      /** What the sentinels call the master. */
      readonly name: string
      readonly db: number
      readonly tls: boolean
      /** For the sentinels themselves. */
      readonly sentinel: Login
    } & Login)

const shape = /^redis(s?)\+(cluster|sentinel):\/\/(?:(.*)@)?([^/?#@]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/

/** @throws RangeError whose message says what is wrong, for whoever has written it */
export const readRedisUrl = (text: string): RedisAddress => {
  const [, s, mode, login = '', hosts = '', path = '', query = ''] = shape.exec(text) ?? []
  if (mode === undefined) return { at: 'server', url: oneServer(text) }
  const shared = { tls: s === 's', ...loginOf(login) }
  const parameters = new URLSearchParams(query)
  const known = mode === 'sentinel' ? ['sentinel_username', 'sentinel_password'] : []
  const unknown = [...parameters.keys()].find((name) => !known.includes(name))
  if (unknown !== undefined) throw new RangeError(`has a parameter ${unknown} that nobody reads`)
  if (mode === 'cluster') {
    if (path !== '') throw new RangeError('has a path: a cluster has no databases')
    return { at: 'cluster', nodes: nodesOf(hosts, 6379), ...shared }
  }
  const [name = '', db = '0', ...rest] = path.split('/')
  if (name === '' || rest.length > 0 || !/^\d+$/.test(db))
    throw new RangeError('must end with the name of the master, and maybe a database: /mymaster or /mymaster/0')
  const [username, password] = known.map((parameter) => parameters.get(parameter) ?? undefined)
  const sentinel = { ...(username !== undefined && { username }), ...(password !== undefined && { password }) }
  const sentinels = nodesOf(hosts, 26_379)
  return { at: 'sentinels', sentinels, name: decodeURIComponent(name), db: Number(db), sentinel, ...shared }
}

export const isCluster = (url: string): boolean => readRedisUrl(url).at === 'cluster'

const oneServer = (text: string): string => {
  if (/^rediss?:\/\/[^/?#]*,/.test(text))
    throw new RangeError('names several servers: write redis+cluster:// or redis+sentinel:// in front of them')
  if (!URL.canParse(text) || !/^rediss?:$/.test(new URL(text).protocol))
    throw new RangeError(
      'is not a URL that begins with redis://, rediss://, redis+cluster:// or redis+sentinel:// (rediss+… with TLS)',
    )
  return text
}

const nodesOf = (hosts: string, usualPort: number): RedisNode[] =>
  hosts.split(',').map((host) => {
    const url = `redis://${host.trim()}`
    if (host.trim() === '' || !URL.canParse(url)) throw new RangeError(`has ${JSON.stringify(host)} among its hosts`)
    const { hostname, port } = new URL(url)
    return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || usualPort) }
  })

const loginOf = (login: string): Login => {
  if (login === '') return {}
  const [, username = '', password] = /^([^:]*)(?::(.*))?$/.exec(login)?.map((part) => part && decode(part)) ?? []
  return { ...(username !== '' && { username }), ...(password !== undefined && { password }) }
}

const decode = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new RangeError('has a user or password with a % in it that must be written %25')
  }
}
