import { CommanderError } from 'commander'
import { codes, explain } from './failure.ts'
import { createProgram } from './program.ts'

// What is read through a pipe that has been closed is read no more.
process.stdout.on('error', () => process.exit())

try {
  await createProgram().parseAsync()
} catch (error) {
  // Commander has said what it has to say.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? codes.well : codes.usage
  else {
    const { message, code } = explain(error)
    console.error(message)
    process.exitCode = code
  }
}
