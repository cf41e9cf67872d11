import { afterAll } from 'vitest'
import { endFile } from './after-file.ts'

// vitest runs this anew for every test file, while what is imported here is the same for all that a worker runs.
afterAll(endFile, 60_000)
