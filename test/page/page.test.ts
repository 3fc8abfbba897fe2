import assert from 'node:assert/strict'

import type { Browser } from 'puppeteer-core'

import type { StatusServer } from '../../src/daemon/http.ts'
import { FakeAgent } from '../support/fakeagent.ts'
import { fakeCluster, hostileCluster } from '../support/fakecluster.ts'
import { openBrowser, serverOf, Tab, type Scheme } from './browser.ts'

const DRAW_MS_MAX = 200
/** The machine may be busy with something else: the best of so many counts. */
const DRAWINGS = 5

describe('the page in Chromium', function () {
  this.timeout(60_000)
  const agent = new FakeAgent()
  let server: StatusServer
  let browser: Browser
  let url: string
  let percent: number

  before(async () => { browser = await openBrowser() })
  after(() => browser.close())
  beforeEach(async () => {
    percent = 42
    agent.cluster = async () => fakeCluster(percent)
    server = serverOf(agent)
    await server.start()
    url = `http://127.0.0.1:${server.port}/`
  })
  afterEach(async () => {
    for (const page of await browser.pages()) if (page.url().startsWith(url)) await page.close()
    await server.stop()
  })

  for (const scheme of ['light', 'dark'] as Scheme[]) {
    for (const width of [1280, 390]) {
      it(`shows ten hosts and 200 guests, ${scheme}, ${width} pixels wide, to everybody`, async () => {
        const tab = await Tab.open(browser, { width, scheme })
        await tab.goLive(url)
        await tab.takePicture(`cluster-${scheme}-${width}`)
        await tab.page.evaluate(() => {
          for (const details of document.querySelectorAll('details')) details.open = true
        })
        assert.equal(await tab.page.evaluate(() => document.querySelectorAll('#guests tbody tr').length), 200)
        assert.ok(await tab.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it is too wide')
        const scrolling = await tab.page.$$eval('.table', (tables) => (tables as HTMLElement[])
          .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth).map(({ dataset }) => dataset.key))
        if (width > 1000) assert.deepEqual(scrolling, [])
        assert.deepEqual(await tab.barriers(), [])
        await tab.goLive(`${url}host`)
        await tab.takePicture(`host-${scheme}-${width}`)
        assert.deepEqual(await tab.barriers(), [])
        assert.ok(await tab.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it is too wide')
        tab.requireClean(url)
      })
    }
  }

  it(`is drawn within ${DRAW_MS_MAX} ms, all guests included`, async () => {
    const tab = await Tab.open(browser)
    const firstMs: number[] = []
    const wholeMs: number[] = []
    for (let drawing = 0; drawing < DRAWINGS; drawing += 1) {
      await tab.goLive(url)
      firstMs.push(await tab.page.evaluate(() => {
        const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
        const [paint] = performance.getEntriesByName('first-contentful-paint')
        return paint!.startTime - navigation!.responseStart
      }))
      wholeMs.push(await tab.page.evaluate(async () => {
        const main = document.querySelector('main')!
        const text = main.innerHTML
        const begunAt = performance.now()
        main.innerHTML = text
        for (const details of document.querySelectorAll('details')) details.open = true
        await new Promise((resolve) => requestAnimationFrame(resolve))
        document.body.getBoundingClientRect()
        return performance.now() - begunAt
      }))
    }
    const [first, whole] = [Math.min(...firstMs), Math.min(...wholeMs)]
    console.log(`      drawn in ${first.toFixed(0)} ms after the answer; all guests again in ${whole.toFixed(0)} ms`)
    assert.ok(first < DRAW_MS_MAX, `${first} ms`)
    assert.ok(whole < DRAW_MS_MAX, `${whole} ms`)
  })

  it('changes by itself, and keeps open and in focus what its reader had open and in focus', async () => {
    const tab = await Tab.open(browser)
    await tab.goLive(url)
    await tab.page.keyboard.press('Tab')
    assert.equal(await tab.page.evaluate(() => document.activeElement?.className), 'skip')
    await tab.page.focus('[data-key="guests host-b"] summary')
    await tab.page.keyboard.press('Enter')
    percent = 77
    const changed = fakeCluster(77)
    changed.hosts[1]!.guests[0]!.name = 'a new guest'
    agent.cluster = async () => changed
    await tab.page.waitForFunction(() => document.querySelector('progress')?.value === 77)
    await tab.page.waitForFunction(() => document.getElementById('guests')!.textContent.includes('a new guest'))
    const { isOpen, isFocused, open } = await tab.page.evaluate(() => {
      const details = document.querySelector<HTMLDetailsElement>('[data-key="guests host-b"]')!
      const isFocused = document.activeElement === details.querySelector('summary')
      return { isOpen: details.open, isFocused, open: document.querySelectorAll('#guests details[open]').length }
    })
    assert.deepEqual({ isOpen, isFocused, open }, { isOpen: true, isFocused: true, open: 1 })
    tab.requireClean(url)
  })

  it('says that it is no longer live, and is again when the agent is back', async () => {
    const tab = await Tab.open(browser)
    await tab.goLive(url)
    const { port } = server
    await server.stop()
    await tab.page.waitForFunction(() => document.getElementById('live')!.textContent.startsWith('Connection lost'))
    server = serverOf(agent, port)
    await server.start()
    await tab.page.waitForFunction(() => document.getElementById('live')!.textContent === 'Live')
  })

  it('is whole without JavaScript, and asks for itself again', async () => {
    const tab = await Tab.open(browser)
    await tab.page.setJavaScriptEnabled(false)
    await tab.page.goto(url)
    const text = await tab.page.$eval('main', (main) => main.textContent)
    for (const part of ['web-1', 'host-j', 'cache-3', '00000000ffffffff', 'Held for 6 min', '42 %']) {
      assert.ok(text.includes(part), part)
    }
    await tab.page.waitForNavigation()
    tab.requireClean(url)
  })

  it('is not changed by what hostile hosts are called, at once or later', async () => {
    const tab = await Tab.open(browser, { width: 390 })
    await tab.goLive(url)
    agent.cluster = async () => hostileCluster()
    await tab.page.waitForFunction(() => document.getElementById('hosts')!.textContent.includes('<script>'))
    await tab.page.reload()
    await tab.page.waitForFunction(() => document.getElementById('live')!.textContent === 'Live')
    const found = await tab.page.evaluate(() => ({
      isBroken: 'broken' in globalThis, images: document.images.length, scripts: document.scripts.length,
      mains: document.querySelectorAll('main section').length,
      isTooWide: document.documentElement.scrollWidth > innerWidth,
    }))
    assert.deepEqual(found, { isBroken: false, images: 0, scripts: 1, mains: 7, isTooWide: false })
    await tab.takePicture('hostile-light-390')
    tab.requireClean(url)
  })
})
