import { readFileSync } from 'node:fs'

const folder = new URL('../../peers/', import.meta.url)

/** A package that is installed in `peers`. Only what is used of it is typed, where it is used. */
export const load = async <T>(name: string): Promise<T> => {
  const { load } = (await import(new URL('load.mjs', folder).href)) as { load: (name: string) => Promise<T> }
  return load(name)
}

/** Which version of it is installed. */
export const versionOf = (name: string): string =>
  (JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, folder), 'utf8')) as { version: string })
    .version
