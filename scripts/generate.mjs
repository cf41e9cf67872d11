// Generates the Prisma client into packages/domain/src/generated, unless it is the schema's already.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { command, must } from './lifetime.mjs'
import { root } from './root.mjs'

const stamp = join(root, 'packages/domain/src/generated/from')

export const generate = async () => {
  const schema = fingerprint()
  if (isFrom(schema)) return
  const env = {
    ...process.env,
    // The command line wants a schema engine, which is a download. `generate` never runs it: any file will do.
    PRISMA_SCHEMA_ENGINE_BINARY: fileURLToPath(import.meta.url),
    CHECKPOINT_DISABLE: '1',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
  }
  const prisma = join(root, 'node_modules/prisma/build/index.js')
  await must('prisma generate', process.execPath, [prisma, 'generate', '--no-hints'], { cwd: root, env })
  writeFileSync(stamp, schema)
  console.log('generate: Prisma client written')
}

const fingerprint = () => {
  const folder = join(root, 'prisma/schema')
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.prisma'))
  const hash = createHash('sha256').update(readFileSync(join(root, 'node_modules/prisma/package.json')))
  for (const file of files.sort()) hash.update(file).update(readFileSync(join(folder, file)))
  return hash.digest('hex')
}

const isFrom = (schema) => {
  try {
    return readFileSync(stamp, 'utf8') === schema
  } catch {
    return false
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await command(generate)
