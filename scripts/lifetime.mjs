// What a command has started, and how it ends: everything registered here is taken down in reverse order,
// whether the command finishes, fails, or is told to stop.
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'

const takedowns = []
let ending

/** Registers what must be undone at the end; the last registered is undone first. */
export const atEnd = (takedown) => void takedowns.push(takedown)

/**
 * Runs a whole command. Its exit code is what `body` resolves to (0 for nothing), 1 when it throws, and when signal n
 * stops it 128 + n, or `stopped` for a command that only ever ends that way.
 */
export const command = async (body, { stopped } = {}) => {
  // A closed terminal or pipe must not keep the takedown from running.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  // npm forwards the signals the terminal has sent us already, so only the first one counts.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => void end(stopped ?? 128 + constants.signals[signal]))
  if (process.env.npm_lifecycle_event) endWithParent()
  try {
    await end((await body()) ?? 0)
  } catch (error) {
    if (!ending) console.error(error.expected ? error.message : error)
    await end(1)
  }
}

/** An npm that was killed cannot pass the signal on; what it has started must not outlive it. */
const endWithParent = () => {
  const parent = process.ppid
  setInterval(() => process.ppid === parent || end(1), 500).unref()
}

/** Ends the command now: takes everything down, then exits with `code`. */
export const end = (code = 0) => {
  ending ??= (async () => {
    for (const takedown of takedowns.reverse())
      await Promise.resolve()
        .then(takedown)
        .catch((error) => console.error(`while stopping: ${error.message}`))
    process.exit(code)
  })()
  return ending
}

/** A failure whose message says all a person needs; it is shown without a stack. */
export const failure = (message) => Object.assign(new Error(message), { expected: true })

/**
 * Starts a program in a process group of its own, so that Ctrl-C reaches this command alone and it can stop its
 * programs in order. `log` is a file that receives the output; else `stdio` is as in `child_process`. At the end it
 * gets `stopSignal`, and its whole group SIGKILL after `grace` ms.
 */
export const launch = (
  program,
  args,
  { log, stdio = 'inherit', stopSignal = 'SIGTERM', grace = 10_000, ...rest } = {},
) => {
  if (ending) throw failure('stopping')
  const file = log && openSync(log, 'a', 0o600)
  const child = spawn(program, args, { detached: true, stdio: log ? ['ignore', file, file] : stdio, ...rest })
  if (log) closeSync(file)
  child.ended = new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 127, error })).on('exit', (code, signal) => resolve({ code, signal }))
  })
  const stop = async () => {
    if (!child.pid) return
    if (child.exitCode === null && child.signalCode === null) child.kill(stopSignal)
    let timer
    await Promise.race([
      child.ended,
      new Promise((resolve) => {
        timer = setTimeout(resolve, grace)
      }),
    ])
    clearTimeout(timer)
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // Nobody is left in the group: the usual case.
    }
  }
  // Once: later its number may be somebody else's.
  let stopped
  child.stop = () => {
    stopped ??= stop()
    return stopped
  }
  atEnd(child.stop)
  return child
}

/** Ends the whole command, with the last of `log`, when a program ends that should have kept running. */
export const mustLive = async (name, child, log) => {
  const { code, signal, error } = await endOf(child)
  console.error(`${name} ended by itself (${error?.message ?? signal ?? `exit code ${code}`}):\n${tail(log)}`)
  await end(1)
}

/** One that ends sooner than this after its start would do so again. */
const STABLE = 5_000

/**
 * Starts a program, and starts it again when it ends by itself; everything else goes on meanwhile. One that does not stay
 * up ends the whole command, with the last of `log`, if there is one.
 */
export const keepUp = (name, start, log) => {
  const first = start()
  const watch = async (child) => {
    const since = performance.now()
    const { code, signal, error } = await endOf(child)
    const how = error?.message ?? signal ?? `exit code ${code}`
    if (performance.now() - since < STABLE) {
      console.error(`${name} ended by itself (${how}).${log ? `\n${tail(log)}` : ''}`)
      return end(1)
    }
    console.error(
      `${name} has ended (${how}). Everything else goes on; it is started again in ${STABLE / 1000} seconds.`,
    )
    await new Promise((resolve) => setTimeout(resolve, STABLE))
    if (ending) return
    const next = start()
    // Stopped in the place of the one before, not sooner than what was started after that.
    takedowns[takedowns.indexOf(child.stop)] = takedowns.pop()
    console.error(`${name} is started again, as process ${next.pid}.`)
    return watch(next)
  }
  watch(first)
  return first
}

/** A program that whoever has it may end and start again. `start` resolves to it when it is ready. */
export const restartable = async (start) => {
  let program = await start()
  return {
    pid: () => program.pid,
    end: async (signal) => {
      program.kill(signal)
      await program.ended
    },
    start: async () => {
      program = await start()
    },
  }
}

/** What a program we are stopping ends with means nothing; whoever waits for it is not to go on. */
const endOf = async (child) => {
  const result = await child.ended
  return ending ? new Promise(() => {}) : result
}

/** Runs a program to its end and answers its exit code. What it has left behind is ended too. */
export const run = async (program, args, options) => {
  const child = launch(program, args, { grace: 5_000, ...options })
  const { code, error } = await endOf(child)
  await child.stop()
  if (error) throw failure(`${program} could not be started: ${error.message}`)
  return code ?? 1
}

/** Runs a program that has to succeed; its output is shown only when it does not. */
export const must = async (title, program, args, options) => {
  const child = launch(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  const output = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk))
  const closed = new Promise((resolve) => child.on('close', resolve))
  const { code, error } = await endOf(child)
  await child.stop()
  if (error) throw failure(`${title} failed: ${program} could not be started: ${error.message}`)
  await closed
  const text = Buffer.concat(output).toString()
  if (code !== 0) throw failure(`${title} failed:\n${text.trimEnd()}`)
  return text
}

/** The last lines of a log file. */
export const tail = (file, lines = 15) => {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  } catch {
    return ''
  }
}
