import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// The packages' sources are tested, not what was built of them.
const conditions = ['source', 'module', 'node', 'development|production']
const fromSource = { resolve: { conditions }, ssr: { resolve: { conditions, externalConditions: ['source', 'node'] } } }

const unit = '{packages,apps,examples,scripts}/**/*.unit.test.ts'
const setupFiles = ['packages/testkit/src/setup.ts']
const exclude = ['**/node_modules/**', '**/dist/**', '.data/**']

// Whoever comes last keeps all others waiting: these take longest.
const long = [
  'chaos/test/chaos',
  'worker/test/recovery',
  'api/test/browser',
  'worker/test/mail.',
  'worker/test/http-calls',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = long.findIndex((part) => moduleId.includes(part))
      return at < 0 ? long.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    // Each integration file brings processes of its own; more files at once would only make them wait for each other.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    projects: [
      // Nothing is isolated: what files import they share, since loading it anew for each took a third of the time, and
      // what they change of it they put back.
      {
        ...fromSource,
        test: { name: 'unit', include: [unit], exclude, setupFiles, isolate: false, testTimeout: 60_000 },
      },
      {
        ...fromSource,
        test: {
          name: 'integration',
          include: ['{packages,apps,scripts,test}/**/*.test.ts', 'examples/**/*.test.ts'],
          exclude: [...exclude, unit],
          setupFiles,
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
    coverage: { include: ['packages/*/src/**', 'apps/*/src/**'], exclude: ['**/generated/**'], reporter: ['text'] },
  },
})
