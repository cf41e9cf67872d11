import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { afterFile } from './after-file.ts'
import { setting } from './environment.ts'
import { recordingProxy, type SentRequest } from './recording-proxy.ts'

/** Whether there is a Chromium, for `describe.skipIf(!hasBrowser)`. */
export const hasBrowser = Boolean(process.env.LAPSE_TEST_CHROMIUM)

export interface TestBrowser {
  /**
   * Opens a context that shares no cookie, storage or cache with another, with one page in it.
   * @param options Playwright's, such as `viewport`, `colorScheme`, `timezoneId`, `javaScriptEnabled`.
   */
  visitor(options?: Omit<BrowserContextOptions, 'proxy'>): Promise<Visitor>
}

export interface Visitor {
  readonly context: BrowserContext
  readonly page: Page
  /** All that this visitor's pages have sent, favicons and beacons too; what went to another machine was refused. */
  readonly requests: readonly SentRequest[]
}

/** Chromium itself finds no other machine; what a page asks for goes to the proxy, which answers for all of them. */
const NOBODY_ELSE = 'MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'

let launched: Promise<TestBrowser> | undefined

/** A Chromium without a window, one for the whole test file and gone after it. */
export const testBrowser = (): Promise<TestBrowser> => {
  launched ??= launch()
  return launched
}

const launch = async (): Promise<TestBrowser> => {
  const found = setting('LAPSE_TEST_CHROMIUM')
  if (!found) throw new Error('There is no Chromium here; put the test into `describe.skipIf(!hasBrowser)`.')
  const { program, env, sandbox } = JSON.parse(found)
  // Most test files have no use for it, and it takes a while to load.
  const { chromium } = await import('playwright-core')
  // The profile lands in TMPDIR as well, which is the test run's own.
  const home = mkdtempSync(join(tmpdir(), 'lapse-home-'))
  const { PATH = '', TMPDIR = '' } = process.env
  const browser = await chromium.launch({
    executablePath: program,
    chromiumSandbox: sandbox,
    // Playwright forbids what Chromium does in the background (updates, synchronization, a first run), but not all of it.
    args: ['--disable-gpu', '--disable-quic', `--host-resolver-rules=${NOBODY_ELSE}`],
    env: { PATH, TMPDIR, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home, TZ: 'UTC', ...env },
  })
  afterFile(() => {
    launched = undefined
    return browser.close()
  })
  return {
    visitor: async (options = {}) => {
      const proxy = await recordingProxy()
      const context = await browser.newContext({ ...options, proxy: { server: proxy.url } })
      afterFile(() => context.close().finally(proxy.close))
      // Sooner than vitest, which could not say what was awaited.
      context.setDefaultTimeout(10_000)
      return { context, page: await context.newPage(), requests: proxy.requests }
    },
  }
}
