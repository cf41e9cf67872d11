import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { must } from './lifetime.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Compiles the given projects and what they stand on; without any, all of them. */
export const build = (...projects) =>
  must('build', process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', ...projects], { cwd: root })
