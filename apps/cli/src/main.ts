import { runCommand } from './program.ts'

// What is read through a pipe that has been closed is read no more.
process.stdout.on('error', () => process.exit())

await runCommand(process.argv.slice(2))
