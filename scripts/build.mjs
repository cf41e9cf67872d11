import { join } from 'node:path'
import { must } from './lifetime.mjs'
import { root } from './root.mjs'

/** Compiles the given projects and what they stand on; without any, all of them. */
export const build = (...projects) =>
  must('build', process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', ...projects], { cwd: root })
