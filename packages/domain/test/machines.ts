import { apiToken, type Kind, type OwnVerbs } from '../src/index.ts'
import { testDomain } from './support.ts'

/** Tokens on a database of this file's own. Call it at the top of a test file. */
export const testMachines = async (more: readonly Kind[] = []) => {
  const kinds = [apiToken, ...more]
  const stage = await testDomain(kinds)
  const settle = async () => true
  const verbs = stage.domain.ownVerbs(settle)
  return {
    ...stage,
    ...verbs,
    /** Another process. */
    elsewhere: (): OwnVerbs => stage.another(kinds).ownVerbs(settle),
    company: () => verbs.organizations.create({ name: 'Acme' }),
    created: (more: Partial<Parameters<OwnVerbs['apiTokens']['create']>[0]> = {}) =>
      verbs.apiTokens.create({ name: 'CI', scopes: ['trials:read'], ...more }),
    verdict: async (token: string, scopes?: string[]) => (await verbs.apiTokens.verify(token, { scopes })).status,
  }
}
