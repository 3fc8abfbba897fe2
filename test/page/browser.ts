import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import type Axe from 'axe-core'
import puppeteer, { type Browser, type Page } from 'puppeteer-core'

import { createStatusServer, type StatusServer } from '../../src/daemon/http.ts'
import { silentLog, systemClock, type Agent } from '../../src/index.ts'

const CHROMIUM = '/usr/bin/chromium'
const PICTURES = join(import.meta.dirname, '../../.cache/page')
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

export type Scheme = 'light' | 'dark'

export function serverOf(agent: Agent, port = 0): StatusServer {
  const metrics = async (): Promise<string> => await agent.metrics()
  return createStatusServer({ agent, clock: systemClock, log: silentLog, metrics }, { address: `127.0.0.1:${port}` })
}

export async function openBrowser(): Promise<Browser> {
  // Chromium's sandbox refuses root.
  const args = process.geteuid?.() === 0 ? ['--no-sandbox'] : []
  return await puppeteer.launch({ executablePath: CHROMIUM, args })
}

/** A page of a browser, and all that it asked for and complained of. */
export class Tab {
  readonly page: Page
  readonly requests: string[] = []
  readonly complaints: string[] = []

  private constructor(page: Page) {
    this.page = page
    page.on('request', (request) => this.requests.push(request.url()))
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warn') this.complaints.push(message.text())
    })
    page.on('pageerror', (error) => this.complaints.push(String(error)))
  }

  static async open(
    browser: Browser, { width = 1280, scheme = 'light' }: { width?: number; scheme?: Scheme } = {},
  ): Promise<Tab> {
    const page = await browser.newPage()
    await page.setViewport({ width, height: 900 })
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
    return new Tab(page)
  }

  /** Asks for the page and waits until it is kept up to date. */
  async goLive(url: string): Promise<void> {
    await this.page.goto(url)
    await this.page.waitForFunction(() => document.getElementById('live')?.textContent === 'Live')
  }

  /** It asked nobody but this server for anything, and nothing went wrong in it. */
  requireClean(url: string): void {
    const { origin } = new URL(url)
    assert.deepEqual(this.requests.filter((asked) => new URL(asked).origin !== origin), [])
    assert.deepEqual(this.complaints, [])
  }

  async takePicture(name: string): Promise<void> {
    mkdirSync(PICTURES, { recursive: true })
    await this.page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true })
  }

  /** What axe-core finds wrong that keeps somebody from using the page. */
  async barriers(): Promise<string[]> {
    await this.page.evaluate(await readFile(AXE, 'utf8'))
    return await this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: typeof Axe }
      const { violations } = await axe.run()
      return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
    })
  }
}
