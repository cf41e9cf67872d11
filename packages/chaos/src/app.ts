import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Line } from './line.ts'
import type { Launched, Services } from './services.ts'

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/** The right time first; then ten minutes off, one way and the other. */
const clockSteps = '0,600000,-600000'

/** One API or worker, in a process of its own as it is deployed, with lines of its own to PostgreSQL and Redis. */
export class App {
  readonly name: string
  readonly isApi: boolean
  readonly url: string
  readonly postgres: Line
  readonly redis: Line
  readonly #services: Services
  readonly #env: Record<string, string>
  readonly #log: string
  #child: Launched | undefined

  private constructor(
    name: string,
    services: Services,
    lines: { postgres: Line; redis: Line },
    env: Record<string, string>,
    port: number,
  ) {
    this.name = name
    this.isApi = name.startsWith('api')
    this.#services = services
    this.postgres = lines.postgres
    this.redis = lines.redis
    this.url = `http://127.0.0.1:${port}`
    this.#log = join(services.folder, `${name}.log`)
    this.#env = {
      ...env,
      DATABASE_URL: through(lines.postgres, services.postgres.appUrl),
      REDIS_URL: through(lines.redis, services.redis.url),
      HOST: '127.0.0.1',
      [this.isApi ? 'PORT' : 'LAPSE_WORKER_PORT']: String(port),
      LAPSE_CHAOS_CLOCK: clockSteps,
    }
  }

  static async start(name: string, services: Services, env: Record<string, string>): Promise<App> {
    const portOf = (url: string) => Number(new URL(url).port)
    const [postgres, redis] = await Promise.all([
      Line.to(portOf(services.postgres.appUrl)),
      Line.to(portOf(services.redis.url)),
    ])
    const app = new App(name, services, { postgres, redis }, env, await services.freePort())
    await app.start()
    return app
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get runs(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Until it is ready; or alive, while what it needs is away. */
  async start(until: 'readyz' | 'healthz' = 'readyz'): Promise<void> {
    const log = openSync(this.#log, 'a', 0o600)
    const preloads = ['../../../scripts/leash.mjs', './clock.js', '../../../scripts/private-names.mjs'].flatMap(
      (file) => ['--import', pathOf(file)],
    )
    const entry = pathOf(`../../../apps/${this.isApi ? 'api' : 'worker'}/dist/main.js`)
    this.#child = this.#services.launch(process.execPath, ['--expose-gc', ...preloads, entry], {
      stdio: ['ignore', log, log, 'ipc'],
      env: { PATH: process.env.PATH, ...this.#env },
    })
    closeSync(log)
    for (const deadline = performance.now() + 120_000; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      // Before it listens there is no answer.
      const [answer] = await Promise.allSettled([fetch(`${this.url}/${until}`)])
      if (answer.status === 'fulfilled' && answer.value.ok) return
      if (!this.runs || performance.now() > deadline) throw new Error(`${this.name} did not get ready:\n${this.tail()}`)
    }
  }

  /** As a supervisor does. */
  async stop(): Promise<{ code: number | null; ms: number }> {
    const start = performance.now()
    this.#child?.kill('SIGTERM')
    const ended = await this.#child?.ended
    return { code: ended?.code ?? null, ms: performance.now() - start }
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#child?.ended
  }

  /** Its clock jumps to the next of the steps. */
  stepClock(): void {
    this.#child?.kill('SIGUSR2')
  }

  /** Lets go of what it does not need. */
  collectGarbage(): void {
    this.#child?.kill('SIGWINCH')
  }

  tail(): string {
    return readFileSync(this.#log, 'utf8').trimEnd().split('\n').slice(-15).join('\n')
  }

  close(): void {
    this.postgres.close()
    this.redis.close()
  }
}

const through = (line: Line, address: string): string =>
  Object.assign(new URL(address), { port: String(line.port) }).href
