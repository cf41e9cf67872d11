import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'

/** The machine's own names: `/etc/hosts`, and `localhost` with all that is below it (RFC 6761) even without it. */
export const hostsFile = (path = '/etc/hosts'): ((name: string) => Promise<readonly string[]>) => {
  const read = cachedFile(path, addressesByName)
  return async (name) => {
    const plain = name.toLowerCase().replace(/\.$/, '')
    return (await read())?.get(plain) ?? (/(^|\.)localhost$/.test(plain) ? ['127.0.0.1', '::1'] : [])
  }
}

/** The names to ask DNS for, in their order: the search domains of `/etc/resolv.conf` complete a short one. */
export const searchList = (path = '/etc/resolv.conf'): ((name: string) => Promise<readonly string[]>) => {
  const read = cachedFile(path, searchOf)
  return async (name) => {
    if (name.endsWith('.')) return [name.slice(0, -1)]
    const { domains, ndots } = (await read()) ?? { domains: [], ndots: 1 }
    const completed = domains.map((domain) => `${name}.${domain}`)
    return name.split('.').length > ndots ? [name, ...completed] : [...completed, name]
  }
}

/** A file's content, parsed again when it has changed; `undefined` without the file. */
const cachedFile = <T>(path: string, parse: (lines: readonly string[][]) => T): (() => Promise<T | undefined>) => {
  let version = ''
  let content: T | undefined
  return async () => {
    try {
      const { mtimeMs, size, ino } = await stat(path)
      if (version !== `${mtimeMs} ${size} ${ino}`) {
        content = parse(wordsOf(await readFile(path, 'utf8')))
        version = `${mtimeMs} ${size} ${ino}`
      }
      return content
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }
}

const wordsOf = (text: string): string[][] =>
  text.split('\n').map((line) =>
    line
      .replace(/[#;].*/, '')
      .split(/\s+/)
      .filter(Boolean),
  )

const addressesByName = (lines: readonly string[][]): Map<string, string[]> => {
  const found = new Map<string, string[]>()
  for (const [address = '', ...names] of lines) {
    // An address with a zone is one of this machine's links, which no call goes to.
    if (isIP(address) === 0 || address.includes('%')) continue
    for (const name of names.map((one) => one.toLowerCase())) found.set(name, [...(found.get(name) ?? []), address])
  }
  return found
}

/** The limits of the C library: six domains, fifteen dots. */
const maxDomains = 6
const maxNdots = 15

const searchOf = (lines: readonly string[][]): { domains: readonly string[]; ndots: number } => {
  const named = lines.findLast(([keyword]) => keyword === 'search' || keyword === 'domain') ?? []
  const options = lines.flatMap(([keyword, ...values]) => (keyword === 'options' ? values : []))
  const ndots = options.map((option) => /^ndots:(\d+)$/.exec(option)?.[1]).findLast((dots) => dots !== undefined)
  return {
    // `search .` completes with the root: the name as it is.
    domains: named
      .slice(1, 1 + maxDomains)
      .map((domain) => domain.replace(/\.$/, ''))
      .filter(Boolean),
    ndots: Math.min(maxNdots, Number(ndots ?? 1)),
  }
}
